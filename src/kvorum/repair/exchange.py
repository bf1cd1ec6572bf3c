"""An exchange: this node compares partitions with one other owner, and both repair what differs.

Hash trees are compared from the top down, so replicas that agree cost one small message each way,
and one differing key in a million a few hashes on each level and one leaf's keys:

    roots of all partitions           which differ?       all in one message
      ranges of a differing one       which differ?       32 hashes
        leaves of a differing range   which differ?       32 hashes
          keys of differing leaves    which differ?       keys and digests (`inventory.py`)
            records                   fetched and sent    (`reconciliation.py`)

Leaves that differ and are close to each other are listed together: a few keys too many cost less
than a round trip. Partitions that differ are compared one after another and depth first, with a
pause before each portion (`operations/pace.py`), so what is remembered is bounded.

(R. Merkle, "A Digital Signature Based on a Conventional Encryption Function", 1987; G.
DeCandia et al., "Dynamo", 2007, section 4.7.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, NoReturn

from kvorum.model.errors import ProtocolError, StorageError
from kvorum.model.merkle import Forest
from kvorum.model.placement_rule import PlacementRule
from kvorum.operations.operations import Operations
from kvorum.operations.question import Question
from kvorum.repair.counterpart import COMPARED_MAX
from kvorum.repair.inventory import Stock, check_entries
from kvorum.repair.reconciliation import Reconciliation
from kvorum.replica.local_replica import LocalReplica
from kvorum.wire.messages import Compare, Differing, Inventory, KeyDiff, Message

_GAP_MAX: Final = 8
"""So many equal leaves between two differing ones are listed with them."""
_WINDOW_MAX: Final = 16
_WINDOW_BYTES: Final = 1 << 20
_LISTED_LIKE_ONE: Final = 32
"""Listing so many records costs about as much as sending one."""


class Ranges(NamedTuple):
    """Ranges of one level, to be compared by their hashes."""

    level: int
    indices: Sequence[int]


class Span(NamedTuple):
    """start <= storage key < end, to be compared key by key."""

    start: bytes
    end: bytes


class Task(NamedTuple):
    """What to compare. `span`: key by key and only there; else by the trees."""

    rule: PlacementRule
    partitions: Sequence[int]
    span: Span | None = None
    whole: bool = True
    """False if the span is less than the partition."""


class Finding(NamedTuple):
    """The result for one partition: keys `repaired`, and whether all were (`complete`)."""

    partition: int
    repaired: int
    complete: bool


class Exchange:
    """One comparison with one other owner, of one or more partitions.

    It ends with `done(exchange)`; each partition that was compared is reported to `found`. `began`:
    monotonic. `repaired`: how many keys differed and are equal now.
    """

    def __init__(
        self,
        replica: LocalReplica,
        operations: Operations,
        stock: Stock,
        node: int,
        task: Task,
        found: Callable[[Exchange, Finding], object],
        done: Callable[[Exchange], object],
    ) -> None:
        """Raises LookupError if no namespace follows the task's placement rule."""
        forest = replica.trees.forest(task.rule)
        if forest is None:
            raise LookupError(f"No namespace follows the placement rule {task.rule.id}.")
        self.node = node
        self.task = task
        self.began = 0.0
        self.ended = False
        self.complete = True
        """False once something could not be compared or repaired."""
        self.repaired = 0
        self._replica = replica
        self._operations = operations
        self._stock = stock
        self._forest: Forest = forest
        self._found = found
        self._done = done
        # Partitions whose roots are to be compared, and those whose roots differ.
        self._roots: deque[int] = deque()
        self._walk: deque[int] = deque()
        # The partition being walked: what is to be compared, and which keys to be reconciled.
        self._partition: int | None = None
        self._todo: list[Ranges | Span] = []
        self._waiting: deque[tuple[bytes, bytes]] = deque()
        self._under_way: set[Reconciliation] = set()
        self._repaired = 0
        self._sound = True
        self._window = 8
        self._portion = 0
        self._portion_bytes = 0

    def start(self) -> None:
        self.began = self._operations.runtime.now()
        if self.task.span is None:
            self._roots.extend(self.task.partitions)
        else:
            self._walk.extend(self.task.partitions)
        self._operations.runtime.call_soon(self._advance)

    def stop(self) -> None:
        """Do nothing more, and say nothing."""
        self.ended = True
        for reconciliation in self._under_way:
            reconciliation.stopped = True

    # One portion after another

    def _pause(self, records: int) -> None:
        """Go on when the work of so many records is paid for."""
        pause_s = self._operations.pace.pause_s(records)
        if pause_s:
            self._operations.runtime.call_later(pause_s, self._advance)
        else:
            self._operations.runtime.call_soon(self._advance)

    def _advance(self) -> None:
        if self.ended:
            return
        if self._waiting:
            self._reconcile()
        elif self._todo:
            task = self._todo.pop()
            if isinstance(task, Span):
                self._list(task)
            else:
                self._compare(task)
        elif self._partition is not None:
            self._report(Finding(self._partition, self._repaired, self._sound))
            self._partition = None
            self._pause(0)
        elif self._walk:
            self._enter(self._walk.popleft())
        elif self._roots:
            count = min(len(self._roots), COMPARED_MAX)
            self._compare(Ranges(0, [self._roots.popleft() for _ in range(count)]))
        else:
            self._end(failed=False)

    def _enter(self, partition: int) -> None:
        """Begin with a partition that differs, or is not to be compared by its tree."""
        self._partition = partition
        self._sound = True
        self._repaired = 0
        if self.task.span is None:
            self._todo = [Ranges(1, self._forest.children(0, partition))]
        else:
            self._todo = [self.task.span]
        self._advance()

    # Hashes

    def _compare(self, ranges: Ranges) -> None:
        if (
            not self._replica.trees.built
        ):  # they are counted anew since this began, and mean nothing
            self._end(failed=True)
            return
        indices = list(ranges.indices)
        hashes = self._forest.hashes(ranges.level, indices)
        question = Question(
            self._operations, self.node, lambda reply: self._on_compared(ranges, reply)
        )
        question.ask(Compare(question.op, self.task.rule.id, ranges.level, indices, hashes))

    def _on_compared(self, ranges: Ranges, reply: Message | None) -> None:
        if self.ended:
            return
        if not isinstance(reply, Differing):
            self._end(failed=True)
            return
        differing = set(reply.indices)
        if not differing.issubset(ranges.indices):
            self._blame(
                f"The answer names {reply.indices[:8]}, not all of which were asked about "
                f"({ranges.indices[:8]})."
            )
        if ranges.level == 0:
            for partition in ranges.indices:
                if partition in differing:
                    self._walk.append(partition)
                else:
                    self._report(Finding(partition, 0, True))
        else:
            self._descend(ranges.level, sorted(differing))
        self._pause(1)

    def _descend(self, level: int, differing: list[int]) -> None:
        forest = self._forest
        if level == forest.last_level:
            spans = [Span(*forest.key_range(first, last)) for first, last in _runs(differing)]
            self._todo += reversed(spans)
            return
        children = [child for index in differing for child in forest.children(level, index)]
        for begin in reversed(range(0, len(children), COMPARED_MAX)):
            self._todo.append(Ranges(level + 1, children[begin : begin + COMPARED_MAX]))

    # Keys

    def _list(self, span: Span) -> None:
        try:
            entries, upto = self._stock.take(self.task.rule, span.start, span.end)
        except StorageError:
            self._end(failed=True)
            return
        question = Question(
            self._operations,
            self.node,
            lambda reply: self._on_listed(span, Span(span.start, upto), dict(entries), reply),
        )
        question.ask(Inventory(question.op, self.task.rule.id, span.start, upto, entries))

    def _on_listed(
        self, span: Span, listed: Span, own: dict[bytes, bytes], reply: Message | None
    ) -> None:
        if self.ended:
            return
        if not isinstance(reply, KeyDiff):
            self._end(failed=True)
            return
        if not listed.start < reply.end <= listed.end:
            self._blame(
                f"The answer ends at {reply.end[:9]!r}, outside of what was asked about from "
                f"{listed.start[:9]!r} on."
            )
        if not own.keys() >= set(reply.lacking):
            self._blame("The answer names keys as lacking that were not listed.")
        try:
            check_entries(reply.other, listed.start, reply.end)
        except ProtocolError as error:
            self._blame(error.message)
        self._waiting.extend(reply.other)
        self._waiting.extend((key, b"") for key in reply.lacking)
        if reply.end < span.end:
            self._todo.append(Span(reply.end, span.end))
        self._pause(1 + len(own) // _LISTED_LIKE_ONE)

    # Records

    def _reconcile(self) -> None:
        """Start as many as are good at once; the next portion follows when all have ended."""
        count = min(len(self._waiting), self._window)
        self._portion, self._portion_bytes = count, 0
        for _ in range(count):
            key, theirs = self._waiting.popleft()
            reconciliation = Reconciliation(
                self._replica, self._operations, self.node, key, theirs, self._on_reconciled
            )
            self._under_way.add(reconciliation)
            reconciliation.start()

    def _on_reconciled(self, reconciliation: Reconciliation, equal: bool) -> None:
        self._under_way.discard(reconciliation)
        if self.ended:
            return
        self._portion_bytes += reconciliation.size
        if not equal:
            self._sound = False
        elif reconciliation.size:
            self._repaired += 1
            self._operations.counters.anti_entropy_repairs += 1
        if not self._under_way:
            # Large records go a few at a time: what waits to be sent is bounded.
            mean = self._portion_bytes // self._portion + 1
            self._window = min(max(_WINDOW_BYTES // mean, 1), _WINDOW_MAX)
            self._pause(self._portion)

    # Ends

    def _report(self, finding: Finding) -> None:
        self.repaired += finding.repaired
        self.complete = self.complete and finding.complete
        self._found(self, finding)

    def _blame(self, message: str) -> NoReturn:
        """End the exchange over a wrong answer. Raises ProtocolError, which ends the link."""
        self._end(failed=True)
        raise ProtocolError(message)

    def _end(self, *, failed: bool) -> None:
        self.ended = True
        if failed:
            self.complete = False
        self._done(self)


def _runs(leaves: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of each run of `leaves`, which ascend; small gaps do not end a run."""
    runs: list[tuple[int, int]] = []
    for leaf in leaves:
        if runs and leaf - runs[-1][1] <= _GAP_MAX:
            runs[-1] = (runs[-1][0], leaf)
        else:
            runs.append((leaf, leaf))
    return runs
