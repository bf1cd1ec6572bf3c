"""Recovery: a node that has lost its disk answers no reads until it has compared with the others.

A replica's acknowledgement means that it has stored a write and will show it. A node that comes
back with an empty data directory has acknowledged writes in its former life and has none of them;
if it answered reads, two of three replicas could agree that an acknowledged write never was. So a
node whose data directory is new is recovering. It takes writes and coordinates, but answers no
read, for itself or for others, and makes no blind write on its own record, until

    half of the other nodes say that they never knew another node of its name (a new cluster)
    or, once one of them says that it did, it has compared all its partitions with every other owner
    of them

A node that knew another one under its name says so in its `SyncState` (`handoff/hints.py`), again
and again until it has compared with the newcomer itself. A hint that was on the lost disk is lost
too; so a recovering node tells all others that they have missed writes.

A node whose log was damaged has lost writes as well, and learns that at its start. That it is
recovering outlives a restart (`storage/recovery_note.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from kvorum.cluster.view import ClusterView
from kvorum.model.spans import ALL_TOKENS
from kvorum.operations.operations import Operations
from kvorum.repair.shortfall import Short, ShortfallSurvey, Want, wanted
from kvorum.replica.local_replica import LocalReplica
from kvorum.storage.recovery_note import LOST, NOTE, WHOLE
from kvorum.storage.store import ignore

_AGAIN_S: Final = 1.0


class Recovery:
    """Whether this node is recovering, and what it still has to compare before it ends that."""

    def __init__(
        self,
        view: ClusterView,
        replica: LocalReplica,
        operations: Operations,
        tell: Callable[[str], object],
        on_end: Callable[[], object],
    ) -> None:
        """`tell` is given what people should know. `on_end`: the node has recovered."""
        self._view = view
        self._replica = replica
        self._operations = operations
        self._tell = tell
        self._on_end = on_end
        self._began = operations.runtime.now()
        self._vouched: set[int] = set()
        self._compared: set[int] = set()
        self._surveying = False
        self._stopped = False
        note = replica.store.get(NOTE)
        self._lost = note == LOST
        replica.recovering = len(view.topology.nodes) > 1 and note != WHOLE
        self._partners = view.partners() if replica.recovering else set()
        if replica.recovering and self._lost:
            self._tell_of_loss()

    @property
    def forgot(self) -> bool:
        """True while this node lacks writes that it had acknowledged."""
        return self._lost

    def on_sync_state(self, node: int, lost: bool | None) -> None:
        """`node` says whether it knew another node of this one's name; None if it cannot say."""
        if not self._replica.recovering or lost is None:
            return
        if lost and not self._lost:
            self._lost = True
            self._tell_of_loss()
            self._replica.store.put(NOTE, LOST, ignore, None)
        elif not lost:
            self._vouched.add(node)
        if not self._lost and len(self._vouched) >= len(self._view.topology.nodes) // 2:
            self._end()

    def on_compared(self, node: int, began: float) -> None:
        """What `node` and this one both own is equal, but for writes since `began`."""
        if self._replica.recovering and began >= self._began:
            self._compared.add(node)
            self._survey()

    def _survey(self) -> None:
        """Once all that the others list has been copied, ask them what they cannot list."""
        done = self._stopped or not self._replica.recovering
        if not done and not self._surveying and self._compared >= self._partners:
            self._surveying = True
            ShortfallSurvey(self._operations, self._partners, self._on_surveyed).ask()

    def _on_surveyed(self, shorts: Mapping[int, Short] | None) -> None:
        self._surveying = False
        if shorts is None:
            self._operations.runtime.call_later(_AGAIN_S, self._survey)
        elif self._replica.recovering:
            for want in self._wants(shorts):
                self._replica.unverified.wait(want.span, want.nodes)
            self._end()

    def _wants(self, shorts: Mapping[int, Short]) -> Iterator[Want]:
        if any(short.unread for short in shorts.values()):
            view = self._view
            for rule in view.rules:
                for partition in view.owned(rule):
                    yield from wanted(view, shorts, rule, partition, [ALL_TOKENS])

    def stop(self) -> None:
        self._stopped = True

    def waits_for(self) -> list[int]:
        """The nodes that this one has yet to compare with before it answers reads."""
        return sorted(self._partners - self._compared) if self._replica.recovering else []

    def _tell_of_loss(self) -> None:
        partners = ", ".join(self._view.names(sorted(self._partners)))
        self._tell(
            "This node has lost what it had acknowledged. It answers no reads until it has "
            f"compared with {partners or 'no other node, as it shares nothing with any'}."
        )

    def _end(self) -> None:
        if self._lost:
            self._tell("This node has got back what others could give, and answers reads.")
        self._replica.recovering = self._lost = False
        self._replica.store.put(NOTE, WHOLE, ignore, None)
        self._on_end()
