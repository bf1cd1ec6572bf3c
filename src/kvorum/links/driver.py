"""The ports of `peers.py`: what carries the bytes of links, and the identity of the node."""

from __future__ import annotations

from typing import Protocol

from kvorum.links.link import Link
from kvorum.links.log import Log
from kvorum.runtime.ports import Runtime


class Identity(Protocol):
    """What links tell others of this node's stored identity."""

    @property
    def node_id(self) -> str: ...

    @property
    def incarnation(self) -> int: ...


class Driver(Protocol):
    """What carries the bytes of links: sockets, or the wires of the simulator."""

    @property
    def runtime(self) -> Runtime: ...

    @property
    def log(self) -> Log: ...

    def nonce(self) -> bytes:
        """`NONCE_BYTES` that nobody can foresee and that never come again."""

    def connect(self, node: int, link: Link) -> None:
        """Begin to make a connection to `node`. It ends in `connected` or `lost` of `link`."""

    def gone(self, link: Link) -> None:
        """`link` is lost, and nothing is asked of it any more."""

    def unforeseen(self, what: str, error: Exception) -> None:
        """A bug was met while a message was handled; its link is closed."""
