"""The sandbox of a process that grades one completion at a time."""

from __future__ import annotations

import atexit
import os
import threading

from flexeval.grading.sandbox.pool import Sandbox

ALLOW_UNSAFE = "FLEXEVAL_ALLOW_UNSAFE_PROGRAMS"
"""Environment variable; 1 lets programs run on a machine that offers no isolation."""


_lock = threading.Lock()
_shared: dict[int, Sandbox] = {}
"""By process id, since a fork cannot use its parent's."""


def shared_sandbox() -> Sandbox:
    """A sandbox with the default limits, started when first asked for and closed when the process ends."""
    with _lock:
        process = os.getpid()
        if process not in _shared:
            _shared[process] = Sandbox(allow_unsafe=os.environ.get(ALLOW_UNSAFE) == "1")
            atexit.register(_shared[process].close)
        return _shared[process]
