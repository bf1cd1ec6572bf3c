"""Quorum arithmetic: of `possible` replicas that were asked, `needed` must acknowledge.

    won     `needed` distinct replicas have acknowledged
    lost    so many have failed that `needed` can no longer acknowledge
    pending neither, yet

A replica counts once, by the first thing it says: a duplicated acknowledgement is not a
second copy of the data, and a replica that failed and then acknowledged was counted out
already. Hence won and lost exclude each other and neither is ever taken back.

One tally is made per request, so its state is plain attributes, and membership is a search
in lists of at most N entries, which for such N beats any set.
"""

from __future__ import annotations


class Tally:
    __slots__ = ("_possible", "_spare", "acked", "failed", "lost", "needed", "won")

    def __init__(self, needed: int, possible: int) -> None:
        self.needed = needed
        self.acked: list[int] = []
        self.failed: list[int] = []
        self.won = needed <= 0
        self.lost = needed > possible
        self._possible = possible
        self._spare = possible - needed

    def ack(self, node: int) -> None:
        acked = self.acked
        if node in acked or node in self.failed:
            return
        acked.append(node)
        if len(acked) >= self.needed:
            self.won = True

    def fail(self, node: int) -> None:
        failed = self.failed
        if node in failed or node in self.acked:
            return
        failed.append(node)
        if len(failed) > self._spare:
            self.lost = True

    def has(self, node: int) -> bool:
        """True if `node` has been counted, either way."""
        return node in self.acked or node in self.failed

    @property
    def pending(self) -> bool:
        return not (self.won or self.lost)

    @property
    def complete(self) -> bool:
        """True once every replica has been counted, so nothing can follow."""
        return len(self.acked) + len(self.failed) >= self._possible
