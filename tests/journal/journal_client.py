"""A client of a journaled store, who knows what there may be after a crash."""

from __future__ import annotations

from bisect import bisect_right

from kit.journals import Journal


class Client:
    def __init__(self, journal: Journal, before: dict[bytes, bytes]) -> None:
        self._journal = journal
        self.states = [before]
        """What there was before each of the writes, and is now."""
        self.acknowledged: list[int] = []
        """For each acknowledged write, in order, the disk's newest moment then."""

    @property
    def seen(self) -> dict[bytes, bytes]:
        """What there is to be seen now."""
        return self.states[-1]

    def write(self, key: bytes, value: bytes | None) -> None:
        """None deletes."""
        state = dict(self.states[-1])
        number = len(self.states) - 1
        self.states.append(state)
        if value is None:
            state.pop(key, None)
            self._journal.store.delete(key, self._done, number)
        else:
            state[key] = value
            self._journal.store.put(key, value, self._done, number)

    def _done(self, number: int, error: object) -> None:
        assert error is None
        assert number == len(self.acknowledged)
        self.acknowledged.append(self._journal.disk.now)

    def may_find(self, moment: int) -> list[dict[bytes, bytes]]:
        """The contents that are right after a crash at that moment of the disk."""
        return self.states[bisect_right(self.acknowledged, moment) :]
