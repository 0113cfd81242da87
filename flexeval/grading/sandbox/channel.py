"""Messages on a pair of pipes: a length, then that many bytes.

Both ends of every pipe of the sandbox use it. It knows neither what the bytes mean nor any
deadline: whoever waits for a process that may never answer needs another process to kill it.
"""

from __future__ import annotations

import os
from struct import Struct

_LENGTH = Struct("<I")
_CHUNK = 1 << 16


class ChannelError(Exception):
    """The conversation cannot go on: the other end announced a message that is too long."""


class ChannelClosedError(ChannelError):
    """The other end closed its pipe, usually because its process ended."""


class Channel:
    """One end of a conversation.

    Args:
        read_fd: where the other end's messages come from.
        write_fd: where ours go.
        max_bytes: longest message that `recv` takes.
    """

    def __init__(self, read_fd: int, write_fd: int, max_bytes: int) -> None:
        self.read_fd = read_fd
        self.write_fd = write_fd
        self.max_bytes = max_bytes

    def send(self, message: bytes) -> None:
        """Write one message. Raises ChannelClosedError if the other end is closed."""
        rest = memoryview(_LENGTH.pack(len(message)) + message)
        try:
            while rest:
                rest = rest[os.write(self.write_fd, rest) :]
        except BrokenPipeError:
            raise ChannelClosedError("the pipe is closed") from None

    def recv(self) -> bytes:
        """Wait for one message. Raises ChannelClosedError at the end of the pipe, ChannelError when it is too long."""
        (size,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        if size > self.max_bytes:
            raise ChannelError(f"a message of {size} bytes; at most {self.max_bytes} are taken")
        return self._exactly(size)

    def close(self) -> None:
        """Close both pipes."""
        os.close(self.read_fd)
        os.close(self.write_fd)

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = os.read(self.read_fd, min(_CHUNK, size - len(data)))
            if not piece:
                raise ChannelClosedError("the pipe is closed")
            data += piece
        return bytes(data)
