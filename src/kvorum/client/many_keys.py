"""Calls about many keys at once, given one by one or by their prefix."""

from __future__ import annotations

from collections.abc import Iterable

from kvorum.client import answers, requests
from kvorum.client.caller import Caller
from kvorum.client.lifetime import Moment, Ttl, checked_renewal
from kvorum.client.listing import ClearPage, CountPage, Page, check_limit
from kvorum.client.questions import deleting, existing, keys_of, touching
from kvorum.client.requests import Lifetime, Listed
from kvorum.client.serializers import Serializing
from kvorum.model.errors import KvorumError
from kvorum.model.topology import QuorumKind

PAGE_ENTRIES = 500
PAGE_KEYS = 10_000


class ManyKeys(Caller):
    """The calls of the asynchronous client about many keys."""

    async def exists_each(
        self,
        keys: Iterable[str],
        *,
        namespace: str | None = None,
        r: int | None = None,
        quorum: QuorumKind | None = None,
        timeout: float | None = None,
    ) -> list[bool | KvorumError]:
        """For each of `keys`, in order, whether it has a value, or the error it met. No value is
        sent."""
        question = existing(self._namespace(namespace), r, quorum)
        return await self._ask(question, keys_of(keys), timeout)

    async def delete_many(
        self,
        keys: Iterable[str],
        *,
        namespace: str | None = None,
        w: int | None = None,
        quorum: QuorumKind | None = None,
        timeout: float | None = None,
    ) -> list[bool | KvorumError]:
        """Delete each of `keys`; for each, in order, True if it was deleted, False if it had no
        value, or the error it met. They are deleted one by one, not as a transaction."""
        question = deleting(self._namespace(namespace), w, quorum)
        return await self._ask(question, keys_of(keys), timeout)

    async def touch_many(
        self,
        keys: Iterable[str],
        ttl: Ttl | None = None,
        *,
        expires_at: Moment | None = None,
        namespace: str | None = None,
        w: int | None = None,
        quorum: QuorumKind | None = None,
        timeout: float | None = None,
    ) -> list[int | KvorumError | None]:
        """Let each of `keys` live for `ttl` or until `expires_at`, as `touch` does.

        For each, in order, when it expires (ms since 1970; None: never), or the error it met:
        NotFound if it has no value. Raises RequestError for a lifetime that is none.
        """
        lifetime = Lifetime(*checked_renewal(ttl, expires_at))
        question = touching(lifetime, self._namespace(namespace), w, quorum)
        return await self._ask(question, keys_of(keys), timeout)

    async def page(
        self,
        prefix: str = "",
        *,
        cursor: str | None = None,
        start_after: str | None = None,
        limit: int | None = None,
        keys_only: bool = False,
        namespace: str | None = None,
        serializer: Serializing | None = None,
        timeout: float | None = None,
    ) -> Page:
        """One page of `scan`, from the `cursor` of the page before on.

        A cursor stays valid when servers restart, so a listing can be taken up later. A page may
        hold fewer than `limit` entries, even none, before the last one, whose cursor is None.
        """
        listed = Listed(prefix, self._namespace(namespace), cursor, start_after)
        check_limit(limit)
        most = PAGE_KEYS if keys_only else PAGE_ENTRIES
        size = most if limit is None else max(1, min(limit, most))
        request = requests.page(listed, size, keys_only=keys_only)
        answer = await self._calls.call(request, self._deadline(timeout))
        page = answers.page(answer, keys_only=keys_only)
        by = self._defaults.serializing(serializer)
        if by is None:
            return page
        return page._replace(entries=[entry.read_by(by) for entry in page.entries])

    async def count_page(
        self,
        prefix: str = "",
        *,
        cursor: str | None = None,
        namespace: str | None = None,
        timeout: float | None = None,
    ) -> CountPage:
        """One part of `count`, from the `cursor` of the part before on."""
        listed = Listed(prefix, self._namespace(namespace), cursor)
        request = requests.count_page(listed)
        return answers.count_page(await self._calls.call(request, self._deadline(timeout)))

    async def clear_page(
        self,
        prefix: str,
        *,
        confirm: str,
        cursor: str | None = None,
        namespace: str | None = None,
        timeout: float | None = None,
    ) -> ClearPage:
        """One part of `clear`, from the `cursor` of the part before on. `confirm` repeats the
        prefix; where that is empty, it is the namespace's name."""
        listed = Listed(prefix, self._namespace(namespace), cursor)
        request = requests.clear_page(listed, confirm)
        return answers.clear_page(await self._calls.call(request, self._deadline(timeout)))
