"""The sandbox of a process that grades one completion at a time."""

from __future__ import annotations

import atexit
import functools
import os

from flexeval.grading.sandbox.pool import Sandbox

ALLOW_UNSAFE = "FLEXEVAL_ALLOW_UNSAFE_PROGRAMS"
"""Environment variable; 1 lets programs run on a machine that offers no isolation."""


def shared_sandbox() -> Sandbox:
    """A sandbox with the default limits, started when first asked for and closed when the process ends."""
    return _sandbox_of(os.getpid())


@functools.cache
def _sandbox_of(process: int) -> Sandbox:
    """One sandbox per process, since a fork cannot use its parent's."""
    sandbox = Sandbox(allow_unsafe=os.environ.get(ALLOW_UNSAFE) == "1")
    atexit.register(sandbox.close)
    return sandbox
