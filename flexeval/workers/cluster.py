"""Where workers run: Ray on this machine, or a cluster that runs already. The only file that starts and ends Ray."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flexeval.errors import InputError, let_go, one_line
from flexeval.grading.processors import processors

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is reported to anybody
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_ADDRESS = re.compile(r"\[?([^/\s]+?)\]?:(\d{1,5})")
REACHED_WITHIN = 5.0
"""Seconds in which an address must answer."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """What each worker gets."""

    gpus: int
    """1, or 0 on CPUs."""
    processors: int
    """For the model's threads on a CPU, and for grading; at least 1."""


def import_ray() -> Any:
    """The module. Raises InputError, which says what to install, where it is missing."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ModuleNotFoundError:
        raise InputError(
            "several workers need Ray, which is not installed; run `pip install 'flexeval-dllm[ray]'`, or leave out "
            "--workers and --ray-address"
        ) from None
    return ray


def connect(address: str | None, *, workers: int, cpu: bool) -> tuple[Any, Share]:
    """Start Ray on this machine, or join a cluster; Ray, and what each worker gets.

    A program that is connected to Ray already stays with its cluster.

    Args:
        address: `auto` for the cluster that this machine belongs to, HOST:PORT, or None for this machine alone.
        workers: how many there will be.
        cpu: whether they keep to CPUs even if there are GPUs.

    Raises:
        InputError: Ray is not installed, nothing answers at the address, or there is not enough for the workers.
    """
    ray = import_ray()
    if not ray.is_initialized():
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", "address": address}
        if address is None:
            cpus = max(processors(), workers)
            options |= {"address": "local", "num_cpus": cpus, "include_dashboard": False, "configure_logging": False}
        else:
            _require_reachable(address)
        with _signals_kept(ray):
            try:
                ray.init(**options)
            except (Exception, SystemExit) as error:  # of any type: a node that starts too slowly is a bare Exception
                with contextlib.suppress(Exception):
                    ray.shutdown()
                raise _unusable(address, error) from None
        _keep_off_stdout(ray)
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return ray, share(nodes, workers=workers, cpu=cpu)


def share(nodes: Sequence[Mapping[str, float]], *, workers: int, cpu: bool) -> Share:
    """What each worker gets of a cluster: as many processors as all can have, and a GPU where there are any.

    Args:
        nodes: the resources of each machine. A worker is on one of them.
        workers: how many.
        cpu: whether they keep to CPUs even if there are GPUs.

    Raises:
        InputError: there is not enough for all.
    """
    gpus = 0 if cpu else sum(int(node.get("GPU", 0)) for node in nodes)
    if gpus and gpus < workers:
        raise InputError(
            f"{workers} workers need {workers} GPUs, and Ray has {gpus} here; use --workers {gpus}, or --device cpu"
        )

    def places(processors: int) -> int:
        """Workers that have room, with so many processors each."""
        rooms = ((int(node.get("CPU", 0)) // processors, int(node.get("GPU", 0))) for node in nodes)
        return sum(min(room) if gpus else room[0] for room in rooms)

    most = max(int(node.get("CPU", 0)) for node in nodes)
    fitting = next((count for count in range(most, 0, -1) if places(count) >= workers), None)
    if fitting is None:
        kind = "a GPU and a processor" if gpus else "a processor"
        raise InputError(
            f"{workers} workers need {kind} each, and Ray has room for {places(1)} here; use --workers {places(1)}"
        )
    return Share(gpus=int(bool(gpus)), processors=fitting)


def _unusable(address: str | None, error: BaseException) -> InputError:
    """The error for a Ray that does not begin."""
    if address == "auto" and isinstance(error, ConnectionError) and "RAY_ADDRESS" not in os.environ:
        return InputError(
            "no Ray cluster runs on this machine, and --ray-address auto uses one that does; start one with "
            "`ray start --head`, write HOST:PORT of another, or leave out --ray-address"
        )
    return InputError(f"cannot use Ray at {address or 'this machine'}: {one_line(error)}")


def require_address(address: str) -> None:
    """Raise InputError for what is no address of a cluster that workers can use, wherever it runs."""
    if address == "auto":
        return
    if address.startswith("ray://"):
        raise InputError(
            "ray:// is Ray's client, which cannot stream samples; run this command on a machine of the cluster with "
            "--ray-address auto, or send it there with `ray job submit`"
        )
    found = _ADDRESS.fullmatch(address)
    if found is None or int(found[2]) > 65535:
        raise InputError(f"cannot read --ray-address {address!r}; write auto, or HOST:PORT as `ray start` printed it")


def _require_reachable(address: str) -> None:
    """Raise InputError for an address at which no Ray can answer; Ray itself would try for minutes."""
    require_address(address)
    found = _ADDRESS.fullmatch(address)
    if found is None:
        return  # auto
    try:
        socket.create_connection((found[1], int(found[2])), timeout=REACHED_WITHIN).close()
    except OSError as error:
        raise InputError(
            f"nothing answers at --ray-address {address!r} ({one_line(error)}); write auto, or HOST:PORT as "
            "`ray start` printed it"
        ) from None


def _keep_off_stdout(ray: Any) -> None:
    """Ray prints a page about every death on standard output, where our results go; the crew says it in a line."""
    module: Any = getattr(ray._private, "worker", None)
    if hasattr(module, "print_to_stdstream"):
        module.print_to_stdstream = lambda *_, **__: None


def disconnect(ray: Any, error: BaseException | None = None) -> None:
    """End Ray in this process.

    Args:
        ray: the module.
        error: that is on its way out of the code that used Ray. Its frames are emptied first: an answer of Ray's that
            outlives Ray ends the process, with status 1.
    """
    let_go(error)
    gc.collect()
    with _signals_kept(ray):
        ray.shutdown()


@contextlib.contextmanager
def _signals_kept(ray: Any) -> Iterator[None]:
    """Keep our handler of SIGTERM, which stores what is finished: Ray puts its own in its place when it begins, and the
    system's when it ends.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    utils: Any = getattr(ray._private, "utils", None)
    theirs = getattr(utils, "set_sigterm_handler", None)
    if theirs is not None:
        utils.set_sigterm_handler = lambda _: None
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if theirs is not None:
            utils.set_sigterm_handler = theirs
