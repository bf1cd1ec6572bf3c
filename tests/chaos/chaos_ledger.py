"""The ledger: what writers were told of their writes, and whether the store keeps to it.

Each key has one writer, which writes it again and again, one write at a time, each with the
next number in its value. What the client says of a write is one of three things:

    acknowledged   it happened
    in doubt       it may have happened, or happen later ("unknown")
    refused        it did not and will not happen ("none")

So a read, once all is healed, must find the last acknowledged write, or one in doubt that
was sent after it. A write in doubt that was sent *before* it may be found in its place only
if the store carried it out later: then the key's clock shows an event that is as young as
that of the acknowledged write and was not in its clock. Otherwise it is the old state, and
the acknowledged write is lost.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from kit.waiting import eventually

from kvorum.client.entry import ClockEntry, Entry
from kvorum.client.synchronous import Client
from kvorum.model.errors import KvorumError, NotFound, UnavailableError

Clock = tuple[ClockEntry, ...]


@dataclass(slots=True)
class History:
    """What is known of one key."""

    sent: int = 0
    acknowledged: int = 0
    clock: Clock = ()
    unverified: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)


class Ledger:
    def __init__(self, value_bytes: int = 64) -> None:
        self._value_bytes = value_bytes
        self._histories: dict[str, History] = {}
        self.acknowledged = 0
        self.unverified = 0
        self.refused = 0

    def __str__(self) -> str:
        return (
            f"{len(self._histories)} keys, {self.acknowledged} writes acknowledged, "
            f"{self.unverified} in doubt, {self.refused} refused"
        )

    @property
    def keys(self) -> list[str]:
        return sorted(self._histories)

    def send(self, key: str) -> tuple[int, str]:
        """The number and the value of the next write of `key`."""
        history = self._histories.setdefault(key, History())
        history.sent += 1
        return history.sent, self._value(key, history.sent)

    def acknowledge(self, key: str, number: int, entry: Entry) -> None:
        history = self._histories[key]
        history.acknowledged = number
        history.clock = entry.clock
        self.acknowledged += 1

    def doubt(self, key: str, number: int) -> None:
        self._histories[key].unverified.add(number)
        self.unverified += 1

    def refuse(self, key: str, number: int) -> None:
        self._histories[key].refused.add(number)
        self.refused += 1

    def vetoes(self, key: str, entry: Entry | None) -> list[str]:
        """What speaks against the store if a read of `key` comes to `entry`."""
        history = self._histories.setdefault(key, History())
        texts = [] if entry is None else [entry.value, *(s.value for s in entry.siblings)]
        numbers = {number for text in texts if (number := self._number(key, text))}
        found = f"{key}: acknowledged {history.acknowledged}, found {sorted(numbers)}"
        vetoes = []
        if any(not self._number(key, text) for text in texts):
            vetoes.append(f"{found}: and a value that nobody wrote there")
        if numbers & history.refused:
            vetoes.append(f"{found}: one that was refused")
        if not self._is_kept(history, numbers, entry):
            vetoes.append(f"{found} of {history}: lost")
        return vetoes

    def _is_kept(self, history: History, numbers: set[int], entry: Entry | None) -> bool:
        last = history.acknowledged
        if not last or last in numbers:
            return True
        doubtful = numbers & history.unverified
        if any(number > last for number in doubtful):
            return True
        return bool(doubtful) and entry is not None and _is_later(entry.clock, history.clock)

    def _value(self, key: str, number: int) -> str:
        # Hex of chance, so that no compression makes the disk seem larger than it is.
        chance = random.Random(f"{key}/{number}")
        return f"{number}/{chance.randbytes(self._value_bytes // 2).hex()}"

    def _number(self, key: str, text: object) -> int:
        """Which write of `key` made the value `text`; 0 if none did."""
        number = str(text).partition("/")[0]
        known = number.isdigit() and 0 < int(number) <= self._histories[key].sent
        return int(number) if known and text == self._value(key, int(number)) else 0


def _is_later(clock: Clock, acknowledged: Clock) -> bool:
    """True if `clock` has an event from after the write that was acknowledged with the other."""
    newest = max(event.timestamp for event in acknowledged)
    # Without the names: a node that was set up anew may not know those of the others.
    known = {(event.counter, event.timestamp) for event in acknowledged}
    return any(
        event.timestamp >= newest and (event.counter, event.timestamp) not in known
        for event in clock
    )


def read(client: Client, keys: Iterable[str], r: int) -> dict[str, Entry | None]:
    """What `client` reads from `r` replicas, once they all answer; None where there is nothing."""
    entries: dict[str, Entry | None] = {}
    unread = list(keys)

    def all_read() -> bool:
        results = client.get_entries(unread, r=r, timeout=30)
        for key, result in list(zip(unread, results, strict=True)):
            if isinstance(result, UnavailableError):
                continue
            if isinstance(result, KvorumError) and not isinstance(result, NotFound):
                raise result
            entries[key] = result if isinstance(result, Entry) else None
            unread.remove(key)
        return not unread

    eventually(all_read, f"{r} replicas to answer for every key")
    return entries
