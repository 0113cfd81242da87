"""How a command ends when something outside asks it to: signals, and standard streams that are closed or broken.

Ctrl-C, SIGTERM (clusters preempt with it) and SIGHUP (the terminal is gone) raise `Stopped` in the main thread, so that
whoever handles Ctrl-C handles all three. On the way out of a first signal, while finished samples are being stored,
further ones change nothing. A signal that was ignored when the process began (nohup) stays ignored.
Only `flexeval.__main__` calls this: a library leaves signals and streams alone. It imports nothing of weight: until it
is loaded, Python answers a signal with a traceback.
"""

from __future__ import annotations

import _thread
import contextlib
import io
import itertools
import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN = 0.5
"""Seconds between two repetitions of a signal."""
TOLD_AFTER = 4
"""Repetitions before a line explains why the process is still running."""
GONE = 141
"""Exit status when the reader of our output went away: the shell's for SIGPIPE."""


class Stopped(KeyboardInterrupt):
    """A signal asked this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def signal_of(stop: KeyboardInterrupt) -> Stopped | None:
    """The signal behind an interrupt, also where a library (Ray) made a plain one of it; None for a plain Ctrl-C."""
    if isinstance(stop, Stopped):
        return stop
    return None if _listener is None else _listener.stop


def status_of(stop: KeyboardInterrupt) -> int:
    """The exit status that the shell gives to a process that this signal ended; SIGINT's for a plain Ctrl-C."""
    behind = signal_of(stop)
    return 128 + (signal.SIGINT if behind is None else behind.number)


def leave_together() -> None:
    """Wait for the processes that were launched together with this one, and close what joins them.

    Torch may abort a process that ends while it is joined, and the launcher then ends the others, which may not have
    written their results yet.
    """
    # Whoever did not import it was not launched with others.
    distributed: Any = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()


def leave_at_once() -> None:
    """From now on signals end the process silently, since there is nothing to store yet."""
    _answer(lambda number, _: os._exit(128 + number))


class _Lossy(io.FileIO):
    """A descriptor that loses what it cannot write: a full disk behind the progress is no reason to draw no samples."""

    def write(self, data: Any) -> int:
        """As `io.FileIO`, but only a reader who went away is an error."""
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError:
            return len(data)


def open_streams() -> None:
    """Make all three standard streams usable.

    A closed one becomes the null device; otherwise the next file that is opened would take its number and receive what
    is printed. Characters that a stream cannot encode are printed as escapes. Notes and progress that stderr cannot
    take are lost.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The system gives the lowest free number, which is this stream's own.
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)
    lossy = io.BufferedWriter(_Lossy(sys.stderr.fileno(), "w", closefd=False))
    sys.stderr = io.TextIOWrapper(lossy, encoding=sys.stderr.encoding, line_buffering=True)
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, io.TextIOWrapper):
            output.reconfigure(errors="backslashreplace")


def run(main: Callable[[], int]) -> int:
    """Run a command, with signals that stop it; the exit status. Afterwards signals are ignored.

    Raises:
        Exception: as `main`, unless a signal came before.
    """
    global _listener
    _listener = listener = _Listener()
    try:
        sys.unraisablehook = listener.swallowed
        _answer(listener)
        status = main()
    except SystemExit as end:
        # How argparse ends --help.
        if not isinstance(end.code, int | None):
            raise
        status = end.code or 0
    except KeyboardInterrupt as stop:
        status = status_of(stop)
    except BrokenPipeError:
        status = GONE
    except Exception as error:
        if listener.stop is None:
            raise
        # A library turned the interrupt into another error, or there was one on the way out.
        last_words(f"flexeval: stopped by {listener.stop} ({type(error).__name__}: {' '.join(str(error).split())})")
        status = status_of(listener.stop)
    finally:
        _answer(signal.SIG_IGN)
        # At the exit, libraries give signals back to the system, and it would end the process.
        listener.repeating = False
    return _flushed(status)


@contextlib.contextmanager
def unrepeated() -> Iterator[None]:
    """Repeat no signal while the block runs: what is called there takes our handler away for a while, so that the
    signal would end the process at once.
    """
    if _listener is None:
        yield
        return
    before, _listener.repeating = _listener.repeating, False
    try:
        yield
    finally:
        _listener.repeating = before


def last_words(line: str) -> None:
    """Print a line on stderr, if it is still open."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


class _Listener:
    """The signal handler of a running command."""

    def __init__(self) -> None:
        self.stop: Stopped | None = None
        """The first signal that came."""
        self.repeating = True
        """Whether it is repeated."""

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.stop is None:
            self.stop = Stopped(number)
            # Not `threading`, whose locks the interrupted code may hold.
            _thread.start_new_thread(self._insist, ())
        elif _is_answered():
            return
        raise Stopped(self.stop.number)

    def _insist(self) -> None:
        """Repeat the signal until the process ends, since a library may swallow the first exception."""
        assert self.stop is not None
        for repeated in itertools.count():
            time.sleep(AGAIN)
            if repeated == TOLD_AFTER:
                with contextlib.suppress(OSError):
                    os.write(2, b"flexeval: stopping; what is finished is being stored\n")
            if self.repeating:
                os.kill(os.getpid(), self.stop.number)

    def swallowed(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Print nothing for a signal in a destructor, where Python drops exceptions: the signal is repeated."""
        if not isinstance(unraisable.exc_value, Stopped):
            sys.__unraisablehook__(unraisable)


_listener: _Listener | None = None
"""Of the running command."""


def _is_answered() -> bool:
    """Whether the code that was interrupted is an `except`, `finally` or `with` block on the way out of a stop."""
    handled = sys.exception()
    while handled is not None and not isinstance(handled, KeyboardInterrupt):
        handled = handled.__context__
    return handled is not None


def _answer(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> None:
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _flushed(status: int) -> int:
    """Flush the standard streams, so that the interpreter has nothing left to flush; the exit status."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if isinstance(error, BrokenPipeError):
                status = status or GONE
            elif status == 0:
                last_words(f"flexeval: error: cannot write to {stream.name}: {error.strerror}")
                status = 2
    return status
