"""What the methods of the asynchronous client stand on: the cluster's address, calls, deadlines,
and defaults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from kvorum.client import answers
from kvorum.client.answers import Answer
from kvorum.client.bulk import Bulk, Question
from kvorum.client.calls import Calls
from kvorum.client.defaults import defaults_of
from kvorum.client.options import check_switch, check_timeout
from kvorum.client.requests import Request
from kvorum.client.url import Target
from kvorum.model.errors import KvorumError

_Item = TypeVar("_Item")
_Got = TypeVar("_Got")


class Caller:
    """Calls to a cluster in one event loop, with the defaults of one client."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._calls = Calls(target)
        self._defaults = defaults_of(target)

    async def _document(self, request: Request, timeout: float | None) -> dict[str, Any]:
        return answers.document(await self._calls.call(request, self._deadline(timeout)))

    async def _write(
        self, request: Request, retry_unknown: bool | None, timeout: float | None
    ) -> Answer:
        """The answer to a write."""
        retrying = self._retries_unknown(retry_unknown)
        return await self._calls.call(request, self._deadline(timeout), retry_unknown=retrying)

    async def _ask(
        self,
        question: Question[_Item, _Got],
        items: Sequence[_Item | KvorumError],
        timeout: float | None,
        *,
        retry_unknown: bool = False,
    ) -> list[_Got | KvorumError]:
        """Results for `items`, of which some have failed already."""
        sound = [item for item in items if not isinstance(item, KvorumError)]
        bulk = Bulk(self._calls, question, sound, self._deadline(timeout))
        bulk.retry_unknown = retry_unknown
        asked = iter(await bulk.run())
        return [item if isinstance(item, KvorumError) else next(asked) for item in items]

    def _retries_unknown(self, retry_unknown: bool | None) -> bool:
        """Whether a write of unknown outcome is looked up, if a call is given this."""
        if retry_unknown is None:
            return self._target.retry_unknown
        return check_switch("retry_unknown", retry_unknown)

    def _namespace(self, namespace: str | None) -> str | None:
        return self._target.namespace if namespace is None else namespace

    def _deadline(self, timeout: float | None) -> float:
        seconds = self._target.timeout if timeout is None else check_timeout(timeout)
        return self._calls.now() + seconds
