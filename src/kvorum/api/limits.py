"""The bounds of the API: sizes of what is sent and shown, and how much is under way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

_TEXT_BYTES_OF_ONE: Final = 2
"""As base64 a value takes 4/3 of its bytes, and more where its slashes are escaped."""

_LIST_ANSWER_PART: Final = 8
"""Half of what all answers that clients have not read may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiLimits:
    value_bytes: int = 1 << 20
    entry_overhead_bytes: int = 16 << 10
    """What the body of POST /entry may hold beside the text of the value."""
    list_body_bytes: int = 8 << 20
    list_items: int = 1000
    list_window: int = 128
    """Items of one list that are under way at a time."""
    list_answer_bytes: int = 32 << 20
    """When the answer to a list has grown so long, the rest of the list is not served."""
    page_entries: int = 100
    nesting: int = 128
    in_flight: int = 4096
    """Operations that wait for the node, over all connections."""
    retry_after_s: int = 1

    @classmethod
    def within(cls, memory: int) -> Self:
        """For a node whose caches and buffers may take `memory` bytes."""
        return cls(list_answer_bytes=min(cls().list_answer_bytes, memory // _LIST_ANSWER_PART))

    @property
    def entry_body_bytes(self) -> int:
        return _TEXT_BYTES_OF_ONE * self.value_bytes + self.entry_overhead_bytes
