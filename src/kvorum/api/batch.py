"""A list of operations in one request: each item succeeds or fails by itself, in its place.

A window of items is under way at a time, so a long list neither floods the node nor piles up
its answers. Once the answer has grown too long the rest of the list is not asked for any
more, and what is still read is dropped; each such item says so. The same list would end there
again, so this is 413 and not 503; a list of what is left goes further.

What is in the answer already counts among the answers that clients have not read. Where there is no
room for more of them, what is read is dropped as well: those items are 503.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from kvorum.api.gateway import Gateway
from kvorum.api.http.exchange import Exchange
from kvorum.api.http.problem import problem
from kvorum.api.http.refusals import AnswerTooLong, InternalError
from kvorum.api.http.statuses import status_of
from kvorum.listener.unread_answers import no_room
from kvorum.model.errors import KvorumError
from kvorum.model.request import Answer, Failure, Get, Request, Result

_logger = logging.getLogger(__name__)


class Operation:
    """An item that is sound: what to ask, and how to show what comes back."""

    __slots__ = ("label", "request", "subject")

    def __init__(self, request: Request, subject: bytes, label: bytes = b"") -> None:
        self.request = request
        self.subject = subject
        self.label = label
        """Members that any outcome of the item is shown with, each with a comma after it."""


Show = Callable[[Operation, Answer], bytes]


def refused(error: KvorumError, label: bytes = b"") -> bytes:
    """The outcome of an item that failed."""
    return b'{"status":%d,%b"error":%b}' % (status_of(error), label, problem(error))


class Batch:
    """The operations of one list, a window of them under way at a time, and their outcomes."""

    def __init__(
        self, exchange: Exchange, gateway: Gateway, items: list[Operation | bytes], show: Show
    ) -> None:
        """`items`: operations, and outcomes of those that are refused already."""
        self._exchange = exchange
        self._answers = exchange.answers
        self._show = show
        self._outcomes = [b"" if isinstance(item, Operation) else item for item in items]
        self._todo = [(i, item) for i, item in enumerate(items) if isinstance(item, Operation)]
        """What has not been begun, the last one first."""
        self._todo.reverse()
        self._most = self._room = gateway.limits.list_answer_bytes
        self._end: KvorumError | None = None
        """Why what is left of the list is not served."""
        self._under_way = 0
        self._window = min(len(items), gateway.limits.list_window)
        principal, places = exchange.principal, self._window
        self._places = gateway.service.reserve(principal, len(self._todo), places)

    def start(self) -> None:
        """Begin the first ones."""
        self._go_on()

    def settle(self, place: int, waiting: _Waiting, result: Result) -> None:
        """Note the result of the item at `place`, and begin the next ones."""
        operation = waiting.operation
        self._under_way -= 1
        if waiting.set_aside:
            self._answers.give_back(waiting.set_aside)
            outcome = self._read_outcome(operation, result)
        else:
            outcome = self._outcome(operation, result)
        self._keep(place, outcome)
        if self._todo or not self._under_way:
            self._go_on()

    def _go_on(self) -> None:
        while self._todo and self._under_way < self._window:
            place, operation = self._todo[-1]
            if self._end is None and isinstance(operation.request, Get):
                expected = self._answers.part_bytes
                if not self._answers.has_room(expected):
                    if self._under_way:
                        return
                    self._end = no_room()
            else:
                expected = 0
            self._todo.pop()
            if self._end is None:
                self._submit(place, operation, expected)
            else:
                self._outcomes[place] = refused(self._end, operation.label)
        if not self._under_way:
            self._respond()

    def _submit(self, place: int, operation: Operation, expected: int) -> None:
        waiting = _Waiting(self, place, operation, expected)
        try:
            self._places.submit(self._exchange.principal, operation.request, waiting.settle)
        except KvorumError as error:
            self._keep(place, refused(error, operation.label))
            return
        self._under_way += 1
        if expected:
            self._answers.set_aside(expected)

    def _read_outcome(self, operation: Operation, result: Result) -> bytes:
        if self._end is None:
            outcome = self._outcome(operation, result)
            self._answers.learn(len(outcome))
            if self._answers.has_room(len(outcome)):
                return outcome
            # Made and not raised: a traceback would keep the values it met.
            self._end = no_room()
        return refused(self._end, operation.label)

    def _keep(self, place: int, outcome: bytes) -> None:
        self._outcomes[place] = outcome
        self._answers.set_aside(len(outcome))
        self._room -= len(outcome)
        if self._room < 0 and self._end is None:
            self._end = AnswerTooLong(
                f"The answer to this list has reached the most it may have, {self._most} bytes. "
                "Ask for this item in another request."
            )

    def _outcome(self, operation: Operation, result: Result) -> bytes:
        try:
            if isinstance(result, Failure):
                return refused(result.error(), operation.label)
            return self._show(operation, result)
        except KvorumError as error:
            return refused(error, operation.label)
        except Exception:
            _logger.exception("making an answer failed")
            return refused(InternalError(), operation.label)

    def _respond(self) -> None:
        self._places.release()
        self._answers.give_back(self._most - self._room)
        body = b'{"entries":[%b]}' % b",".join(self._outcomes)
        self._outcomes.clear()  # They may be long, and are in there now.
        self._exchange.respond(200, body)


class _Waiting:
    """An item that is under way: its reply callback. `set_aside`: for a value that is read."""

    __slots__ = ("_batch", "_place", "operation", "set_aside")

    def __init__(self, batch: Batch, place: int, operation: Operation, set_aside: int) -> None:
        self.operation = operation
        self.set_aside = set_aside
        self._batch = batch
        self._place = place

    def settle(self, result: Result) -> None:
        self._batch.settle(self._place, self, result)
