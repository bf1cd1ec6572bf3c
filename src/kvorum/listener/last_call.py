"""Last call: no new connection comes in, and those that are complete can still be accepted.

A listening socket that is closed resets the connections in its queue that nobody has accepted, and
whoever has sent a request on one of them does not know what became of it. So on Linux the socket
first gets a filter (socket(7), SO_ATTACH_FILTER) that drops packets which ask for a connection. A
client that is dropped asks again after a second, as TCP does, and is refused then.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
from contextlib import suppress
from typing import Final

_SO_ATTACH_FILTER: Final = 26
_LOAD_BYTE: Final = 0x30
_JUMP_IF_SET: Final = 0x45
_RETURN: Final = 0x06
_FLAGS_AT: Final = 13
"""Where the flags of a TCP header are, counted from its start."""
_SYN: Final = 0x02
_WHOLE_PACKET: Final = 0xFFFFFFFF
_DROP_SYN: Final = (
    (_LOAD_BYTE, 0, 0, _FLAGS_AT),
    (_JUMP_IF_SET, 0, 1, _SYN),
    (_RETURN, 0, 0, 0),
    (_RETURN, 0, 0, _WHOLE_PACKET),
)
"""A program of classic BPF: (code, to skip if true, to skip if false, argument)."""


def refuse_further_connections(listening: int) -> None:
    """Have the listening TCP socket with this descriptor take no more connections. Does nothing
    where the system has no such filters, or forbids them."""
    if sys.platform != "linux":
        return
    program = b"".join(struct.pack("HBBI", *step) for step in _DROP_SYN)
    steps = ctypes.create_string_buffer(program, len(program))
    filter_ = struct.pack("@HP", len(_DROP_SYN), ctypes.addressof(steps))
    with suppress(OSError), socket.socket(fileno=os.dup(listening)) as same:
        same.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_)
