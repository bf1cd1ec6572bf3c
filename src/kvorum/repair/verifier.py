"""The verifier: compares this replica's unverified tokens with the other owners until none is left.

When a record is found damaged its token becomes unverified (`replica/unverified_tokens.py`). Once a
second, and soon after new damage was found, the unverified tokens of each partition are compared
together (`verification.py`). Tokens of which no owner can say what was there stay unverified; that
is told once to the people who run the node, as only they can end it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kvorum.cluster.view import ClusterView
from kvorum.model.errors import StorageError
from kvorum.model.spans import TokenSpan, of_token
from kvorum.operations.operations import Operations
from kvorum.repair.anti_entropy import AntiEntropy
from kvorum.repair.partition_repair import PartitionRepairs
from kvorum.repair.target import leaves
from kvorum.repair.verification import Verification
from kvorum.repair.waiting import ADVICE
from kvorum.replica.local_replica import LocalReplica

_BEAT_S: Final = 1.0
_GATHER_S: Final = 0.1
_UNDER_WAY_MAX: Final = 16
"""Partitions that are verified at once."""


class Verifier:
    """Has all unverified tokens of this replica compared, a partition at a time."""

    def __init__(
        self,
        view: ClusterView,
        replica: LocalReplica,
        operations: Operations,
        anti_entropy: AntiEntropy,
        repairs: PartitionRepairs,
        tell: Callable[[str], object],
    ) -> None:
        """`tell` is given what people should know, a sentence at a time."""
        self._view = view
        self._replica = replica
        self._operations = operations
        self._anti_entropy = anti_entropy
        self._repairs = repairs
        self._tell = tell
        self._under_way: set[int] = set()
        self._not_before: dict[int, float] = {}
        self._due_soon = False
        self._told = False
        self._stopped = False

    def start(self) -> None:
        self._operations.runtime.call_later(_BEAT_S, self._beat)

    def stop(self) -> None:
        self._stopped = True

    def on_damaged(self, key: bytes) -> None:
        """The record at the storage key `key` is damaged: have the leaf repaired that it lies in.

        From now on the hash tree shows that the record is missing, and its token is unverified.
        """
        self._replica.unverified.begin_again(key)
        if not self._replica.trees.built:
            return  # Trees that are being built leave out what is damaged.
        token = key[1:9]
        for target in leaves(
            self._view, self._replica, self._view.placement.partition(token), of_token(token)
        ):
            try:
                self._anti_entropy.recount(target.rule, *target.ends)
            except StorageError:
                return  # Nothing can be read there now.
        self._verify_soon()

    def _beat(self) -> None:
        if self._stopped:
            return
        self._verify()
        self._operations.runtime.call_later(_BEAT_S, self._beat)

    def _verify_soon(self) -> None:
        """Damages come in crowds: first let more of them be found."""
        if not self._due_soon:
            self._due_soon = True
            self._operations.runtime.call_later(_GATHER_S, self._verify)

    def _verify(self) -> None:
        """Begin to compare the unverified tokens of each partition for which it is time."""
        self._due_soon = False
        now = self._operations.runtime.now()
        if self._stopped or not self._replica.trees.built or not self._replica.unverified.tokens:
            return
        for partition, spans in self._unverified_by_partition().items():
            if len(self._under_way) >= _UNDER_WAY_MAX:
                return
            if partition not in self._under_way and self._not_before.get(partition, 0.0) <= now:
                self._under_way.add(partition)
                verification = Verification(
                    self._view,
                    self._replica,
                    self._operations,
                    partition,
                    spans,
                    self._repairs.compare,
                    self._on_done,
                )
                verification.start()

    def _unverified_by_partition(self) -> dict[int, list[TokenSpan]]:
        found: dict[int, list[TokenSpan]] = {}
        for span in self._replica.unverified.tokens:
            found.setdefault(self._view.placement.partition(span.first), []).append(span)
        return found

    def _on_done(self, partition: int, pause_s: float) -> None:
        self._under_way.discard(partition)
        self._not_before[partition] = self._operations.runtime.now() + pause_s
        self._tell_of_unreadable()
        self._verify()

    def _tell_of_unreadable(self) -> None:
        """Tell once that some tokens stay unverified until people act, and once that none does."""
        stuck = next(
            (pair for pair in self._replica.unverified.tokens.items() if pair[1].waits_for), None
        )
        if stuck is not None and not self._told:
            span, unverified = stuck
            names = ", ".join(self._view.names(list(unverified.waits_for)))
            partition = self._view.placement.partition(span.first)
            self._tell(
                f"Records in partition {partition} and perhaps others "
                f"cannot be read anywhere: they are damaged on {names}, and no other owner can say "
                f"what was there. This node does not answer for them. To end that {ADVICE}."
            )
        elif stuck is None and self._told:
            self._tell("No record waits any more for an owner that can read it.")
        self._told = stuck is not None
