"""Replies: who waits for the result of an operation.

An operation that is let in has a place in the admission until its result is there. The door notes
the place on the reply, which gives it back before anything else is done with the result: so it
costs no object and no closure of its own, and no face can forget it. In the same way the door notes
when it was let in, and the reply tells how long it took, and what came of it.
"""

from __future__ import annotations

import logging
from time import monotonic
from typing import Generic, TypeVar

from kvorum.model.errors import KvorumError
from kvorum.model.request import Failure
from kvorum.service.admission import Admission
from kvorum.service.latencies import INTERNAL, Timing

_logger = logging.getLogger(__name__)

T = TypeVar("T")


class Reply(Generic[T]):
    """What a face hands to the door. Either `answer`, `refuse` or `fail` says what came of it."""

    __slots__ = ("admission", "began", "latency")

    admission: Admission
    """Where the operation has its place; the door sets it, and what follows."""
    latency: Timing
    """Told of the end of the operation, which began at `began` (monotonic, s)."""
    began: float

    def let_in(self, admission: Admission, latency: Timing) -> None:
        """The operation has been let in just now."""
        self.admission = admission
        self.latency = latency
        self.began = monotonic()

    def settle(self, result: T | Failure) -> None:
        """The callback for the node."""
        self.admission.in_flight -= 1
        try:
            if isinstance(result, Failure):
                self._end_with(result.error())
            else:
                self.answer(result)
                self.latency.took(monotonic() - self.began)
        except KvorumError as error:
            self._end_with(error)
        except Exception:
            _logger.exception("making an answer failed")
            self._note(INTERNAL)
            self.fail()

    def _end_with(self, error: KvorumError) -> None:
        self._note(error.code)
        self.refuse(error)

    def _note(self, code: str) -> None:
        self.latency.failed_with(code, monotonic() - self.began)

    def answer(self, result: T) -> None:
        """Tell of `result`, or raise the KvorumError that is to be told instead."""
        raise NotImplementedError

    def refuse(self, error: KvorumError) -> None:
        """Tell of `error`."""
        raise NotImplementedError

    def fail(self) -> None:
        """The program has made an error of its own."""
        raise NotImplementedError
