"""What the cluster has acknowledged, and whether it gives that back.

An acknowledged write is *lost* if its key is gone or holds the value before it, and
*mismatched* if the key holds something that was never written there.
"""

from __future__ import annotations

from collections.abc import Collection

from kvorum.client.answers import Result
from kvorum.client.entry import Entry
from kvorum.demo.requests import Item
from kvorum.model.errors import NotFound


class Ledger:
    """The values that the cluster has acknowledged, by key, and how reading them went."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}
        self._former: dict[str, bytes] = {}
        self.checked = 0
        self.lost: list[str] = []
        self.mismatched: list[str] = []

    def __len__(self) -> int:
        return len(self._values)

    @property
    def keys(self) -> Collection[str]:
        return self._values.keys()

    def wrote(self, item: Item, result: Result) -> None:
        """Note a write and what it came to. Raises the error of one that failed."""
        if not isinstance(result, Entry):
            raise result
        key, value = item
        former = self._values.get(key)
        if former is not None:
            self._former[key] = former
        self._values[key] = value

    def check(self, key: str, result: Result) -> None:
        """Note what a read of `key` came to. Raises the error of a read that failed."""
        if isinstance(result, NotFound):
            self.lost.append(key)
        elif isinstance(result, Entry):
            self._compare(key, result.json)
        else:
            raise result
        self.checked += 1

    def _compare(self, key: str, found: bytes) -> None:
        if found == self._values[key]:
            return
        (self.lost if found == self._former.get(key) else self.mismatched).append(key)
