"""DELETE /entries: of the keys in its body, or of all keys that begin with a prefix.

    DELETE /entries?prefix=P&confirm=P&namespace=&cursor=
        {"deleted": number, "cursor": string or null, "unreadable": [...]?}

A call lists one page of keys, deletes them, a window of them at a time, and says where the next
call goes on. A key is deleted as by DELETE /entry/{key}: with all that is there when its turn
comes, also what was written after it was listed.

If a delete fails, no further ones are begun, and the error says how many were made. Its cursor is
the one that the page began with: whatever is deleted already is not listed again.
"""

from __future__ import annotations

import logging
from typing import Final
from urllib.parse import quote

import msgspec

from kvorum.api.conditions import refuse_conditions
from kvorum.api.gateway import Gateway
from kvorum.api.http.exchange import Exchange
from kvorum.api.http.refusals import InternalError
from kvorum.api.key_lists import KeyListHandlers
from kvorum.api.parameters import Options, parse_query
from kvorum.api.pending import Pending
from kvorum.model.errors import KvorumError, NotFound, RequestError
from kvorum.model.request import Delete, Failure, Listing, Result, Selection
from kvorum.service.action import Action

_QUERY: Final = frozenset({"prefix", "confirm", "namespace", "cursor", "w", "timeout_ms", "quorum"})
_NEITHER: Final = (
    'It is not said what to delete. Send {"keys": [...]}, or name a prefix in the query and once '
    "more as confirm: ?prefix=P&confirm=P."
)

_logger = logging.getLogger(__name__)
_encode: Final = msgspec.json.Encoder().encode


class DeletionHandlers:
    """The handlers of deletes of many entries."""

    def __init__(self, gateway: Gateway, keys: KeyListHandlers) -> None:
        self._gateway = gateway
        self._keys = keys

    def delete(self, exchange: Exchange) -> None:
        """DELETE /entries"""
        options = parse_query(exchange.query, _QUERY)
        if options.prefix or options.confirm is not None or options.cursor is not None:
            self._delete_prefix(exchange, options)
        elif exchange.body:
            self._keys.delete_with(exchange, options)
        else:
            raise RequestError(_NEITHER)

    def _delete_prefix(self, exchange: Exchange, options: Options) -> None:
        refuse_conditions(exchange.fields)
        if exchange.body:
            raise RequestError("A delete by prefix takes no body. Leave out one of the two.")
        _check_confirmed(options)
        gateway, space = self._gateway, options.namespace
        access, prefix = gateway.service.access, options.prefix
        access.check_prefix(exchange.principal, Action.DELETE, space, prefix)
        selection = Selection(
            space, prefix, "keys", gateway.limits.list_items, gateway.after(options)
        )
        gateway.service.scan(exchange.principal, selection, _Listed(exchange, gateway, options))


def _check_confirmed(options: Options) -> None:
    """Raises RequestError."""
    prefix, space = options.prefix, options.namespace
    expected = prefix or space
    if options.confirm == expected:
        return
    what = (
        f"all entries of the namespace {space!r} whose keys begin with {prefix[:80]!r}"
        if prefix
        else f"all entries of the namespace {space!r}"
    )
    raise RequestError(
        f"This deletes {what}, and is not confirmed. If that is meant, add "
        f"confirm={quote(expected, safe='')} to the query.",
        wanted=expected,
    )


class _Listed(Pending[Listing]):
    """The keys to delete."""

    __slots__ = ("_options",)

    def __init__(self, exchange: Exchange, gateway: Gateway, options: Options) -> None:
        super().__init__(exchange, gateway, options.namespace.encode())
        self._options = options

    def answer(self, result: Listing) -> None:
        _Deleting(self._exchange, self._gateway, self._options, result).go_on()


class _Deleting:
    """The deletes of one page, a window of them under way at a time."""

    def __init__(
        self, exchange: Exchange, gateway: Gateway, options: Options, page: Listing
    ) -> None:
        """Raises Overloaded."""
        self._exchange = exchange
        self._gateway = gateway
        self._options = options
        self._page = page
        self._todo = page.keys[::-1]
        """Of what has not been begun, the first one last."""
        self._under_way = 0
        self._deleted = 0
        self._error: KvorumError | None = None
        """Why no more are begun."""
        self._is_unknown = False
        """A delete may have been carried out."""
        self._window = min(len(page.keys), gateway.limits.list_window)
        principal, places = exchange.principal, self._window
        self._places = gateway.service.reserve(principal, len(page.keys), places)

    def go_on(self) -> None:
        """Begin as many as may be under way; answer when there are none any more."""
        while self._todo and self._error is None and self._under_way < self._window:
            self._submit(self._todo.pop())
        if not self._under_way:
            self._respond()

    def _submit(self, key: str) -> None:
        options = self._options
        w, timeout_ms, quorum = options.w, options.timeout_ms, options.quorum
        request = Delete(options.namespace, key, w=w, timeout_ms=timeout_ms, quorum=quorum)
        try:
            self._places.submit(self._exchange.principal, request, self._settle)
        except KvorumError as error:
            self._fail(error)
        else:
            self._under_way += 1

    def _settle(self, result: Result) -> None:
        self._under_way -= 1
        if not isinstance(result, Failure):
            self._deleted += 1
        elif result.code != NotFound.code:
            self._fail(_error_of(result))
        self.go_on()

    def _fail(self, error: KvorumError) -> None:
        self._is_unknown = self._is_unknown or error.outcome == "unknown"
        if self._error is None:
            self._error = error

    def _respond(self) -> None:
        self._places.release()
        if self._error is None:
            self._exchange.respond(200, self._done())
            return
        error = self._error
        error.details.update(deleted=self._deleted, cursor=self._options.cursor)
        if self._deleted or self._is_unknown:
            error.outcome = "unknown"
        self._exchange.refuse(error)

    def _done(self) -> bytes:
        page, seal = self._page, self._gateway.service.cursors.seal
        document: dict[str, object] = {"deleted": self._deleted, "cursor": None}
        if page.cursor:
            document["cursor"] = seal(self._options.namespace.encode(), page.cursor)
        if page.unreadable:
            document["unreadable"] = page.unreadable
        return _encode(document)


def _error_of(failure: Failure) -> KvorumError:
    try:
        return failure.error()
    except Exception:
        _logger.exception("making an answer failed")
        return InternalError()
