"""A list of operations in one request: each item succeeds or fails by itself, in its place.

A window of items is under way at a time, so a long list neither floods the node nor piles up
its answers. Once the answer has grown too long the rest of the list is not asked for any
more, and what is still read is dropped; each such item says so. The same list would end there
again, so this is 413 and not 503; a list of what is left goes further.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from kvorum.api.gateway import Gateway
from kvorum.api.http.exchange import Exchange
from kvorum.api.http.problem import problem
from kvorum.api.http.refusals import InternalError
from kvorum.model.errors import KvorumError, RequestError
from kvorum.model.request import Answer, Failure, Get, Request, Result

_logger = logging.getLogger(__name__)


class AnswerTooLong(RequestError):
    code = "answer_too_long"
    status = 413


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
    return b'{"status":%d,%b"error":%b}' % (error.status, label, problem(error))


class Batch:
    __slots__ = (
        "_exchange",
        "_gateway",
        "_outcomes",
        "_room",
        "_show",
        "_todo",
        "_under_way",
        "_window",
    )

    def __init__(
        self, exchange: Exchange, gateway: Gateway, items: list[Operation | bytes], show: Show
    ) -> None:
        """`items`: operations, and outcomes of those that are refused already."""
        self._exchange = exchange
        self._gateway = gateway
        self._show = show
        self._outcomes = [b"" if isinstance(item, Operation) else item for item in items]
        self._todo: Iterator[tuple[int, Operation]] = iter(
            [(i, item) for i, item in enumerate(items) if isinstance(item, Operation)]
        )
        self._room = gateway.limits.list_answer_bytes
        self._under_way = 0
        self._window = min(len(items), gateway.limits.list_window)

    def start(self) -> None:
        """Raises Overloaded."""
        self._gateway.admission.enter(self._window)
        for _ in range(self._window):
            self._submit_next()
        if not self._under_way:
            self._respond()

    def settle(self, place: int, operation: Operation, result: Result) -> None:
        self._under_way -= 1
        if self._room < 0 and isinstance(operation.request, Get):
            outcome = self._too_long(operation)
        else:
            outcome = self._outcome(operation, result)
        self._outcomes[place] = outcome
        self._room -= len(outcome)
        self._submit_next()
        if not self._under_way:
            self._respond()

    def _submit_next(self) -> None:
        for place, operation in self._todo:
            if self._room >= 0:
                self._under_way += 1
                waiting = _Waiting(self, place, operation)
                self._gateway.coordinator.submit(operation.request, waiting.settle)
                return
            self._outcomes[place] = self._too_long(operation)

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

    def _too_long(self, operation: Operation) -> bytes:
        most = self._gateway.limits.list_answer_bytes
        error = AnswerTooLong(
            f"wanted a list whose answer has at most {most} bytes, got one with more; "
            "ask for this item in another request"
        )
        return refused(error, operation.label)

    def _respond(self) -> None:
        self._gateway.admission.leave(self._window)
        self._exchange.respond(200, b'{"entries":[%b]}' % b",".join(self._outcomes))


class _Waiting:
    """The reply callback of one item."""

    __slots__ = ("_batch", "_operation", "_place")

    def __init__(self, batch: Batch, place: int, operation: Operation) -> None:
        self._batch = batch
        self._place = place
        self._operation = operation

    def settle(self, result: Result) -> None:
        self._batch.settle(self._place, self._operation, result)
