"""The messages that wait for one node while it has no link, within bounds.

One message may exceed the bound on bytes, however long it is: otherwise it could never be sent.
"""

from __future__ import annotations

from dataclasses import dataclass

from kvorum.wire.batches import encode_batch
from kvorum.wire.messages import Message


@dataclass(frozen=True, slots=True)
class WaitingLimits:
    """How much may wait for one node."""

    messages_max: int = 8192
    bytes_max: int = 16 << 20


class Waiting:
    """The messages that wait for one node, in order."""

    def __init__(self, limits: WaitingLimits) -> None:
        self._limits = limits
        self._messages: list[Message] = []
        self._bytes = 0

    def add(self, message: Message) -> bool:
        """Keep `message`. False, and nothing is kept, if there is no room for it."""
        limits = self._limits
        if len(self._messages) >= limits.messages_max or self._bytes >= limits.bytes_max:
            return False
        self._messages.append(message)
        self._bytes += len(encode_batch([message]))
        return True

    def take(self) -> list[Message]:
        """All of them, in order; none waits any more."""
        messages = self._messages
        self._messages = []
        self._bytes = 0
        return messages
