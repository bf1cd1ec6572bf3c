"""The bounds of the API: sizes of what is sent and shown. Those of values, and of how much is under
way, are the service's (`service/limits.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

_TEXT_BYTES_OF_ONE: Final = 2
"""As base64 a value takes 4/3 of its bytes, and more where its slashes are escaped."""

_LIST_ANSWER_PART: Final = 8
"""Half of what all answers that clients have not read may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiLimits:
    """The bounds of requests and answers of the API."""

    entry_overhead_bytes: int = 16 << 10
    """What the body of POST /entry may hold beside the text of the value."""
    list_body_bytes: int = 8 << 20
    list_items: int = 1000
    list_window: int = 128
    """Items of one list that are under way at a time."""
    list_answer_bytes: int = 32 << 20
    """When the answer to a list has grown so long, the rest of the list is not served."""
    page_entries: int = 100

    @classmethod
    def within(cls, memory: int) -> Self:
        """For a node whose caches and buffers may take `memory` bytes."""
        return cls(list_answer_bytes=min(cls().list_answer_bytes, memory // _LIST_ANSWER_PART))

    def raw_body_bytes(self, value_bytes: int) -> int:
        """Of a body that is a value of at most `value_bytes`, with room to say how much it has."""
        return value_bytes + self.entry_overhead_bytes

    def entry_body_bytes(self, value_bytes: int) -> int:
        """Of an entry whose value may have `value_bytes`."""
        return _TEXT_BYTES_OF_ONE * value_bytes + self.entry_overhead_bytes
