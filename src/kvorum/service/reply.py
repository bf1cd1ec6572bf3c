"""Replies: who waits for the result of an operation.

An operation that is let in has a place in the admission until its result is there. The door notes
the place on the reply, which gives it back before anything else is done with the result: so it
costs no object and no closure of its own, and no face can forget it.
"""

from __future__ import annotations

import logging
from typing import Generic, TypeVar

from kvorum.model.errors import KvorumError
from kvorum.model.request import Failure
from kvorum.service.admission import Admission

_logger = logging.getLogger(__name__)

T = TypeVar("T")


class Reply(Generic[T]):
    """What a face hands to the door. Either `answer`, `refuse` or `fail` says what came of it."""

    __slots__ = ("admission",)

    admission: Admission
    """Where the operation has its place; the door sets it."""

    def settle(self, result: T | Failure) -> None:
        """The callback for the node."""
        self.admission.in_flight -= 1
        try:
            if isinstance(result, Failure):
                self.refuse(result.error())
            else:
                self.answer(result)
        except KvorumError as error:
            self.refuse(error)
        except Exception:
            _logger.exception("making an answer failed")
            self.fail()

    def answer(self, result: T) -> None:
        """Tell of `result`, or raise the KvorumError that is to be told instead."""
        raise NotImplementedError

    def refuse(self, error: KvorumError) -> None:
        """Tell of `error`."""
        raise NotImplementedError

    def fail(self) -> None:
        """The program has made an error of its own."""
        raise NotImplementedError
