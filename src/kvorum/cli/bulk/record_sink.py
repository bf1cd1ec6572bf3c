"""Merging records in as they are, with their versions. They merge in any order."""

from __future__ import annotations

from kvorum.cli.bulk.items import RecordItem
from kvorum.cli.bulk.pipeline import Outcome
from kvorum.client import record_requests as requests
from kvorum.client.asynchronous import AsyncClient
from kvorum.model.errors import UnavailableError


class RecordSink:
    """Stores records by way of `client`. `w`: how many replicas must have each."""

    def __init__(self, client: AsyncClient, w: int | None) -> None:
        self._client = client
        self._w = w

    def size(self, item: RecordItem) -> int:
        """How many bytes it takes."""
        return len(item.record.record)

    def key(self, item: RecordItem) -> None:
        """None: records merge in any order."""

    async def store(self, items: list[RecordItem]) -> Outcome[RecordItem]:
        """Raises what the cluster refuses a record with, if that is no matter of patience."""
        outcome = Outcome[RecordItem]()
        request = requests.put_many([item.record for item in items], self._w)
        try:
            document = await self._client.ask(request)
        except UnavailableError as error:
            outcome.failed(items, error)
            return outcome
        refusals = requests.failures(document, len(items))
        for item, refusal in zip(items, refusals, strict=True):
            if refusal is None:
                outcome.stored += 1
            elif isinstance(refusal, UnavailableError):
                outcome.failed([item], refusal)
            else:
                raise refusal
        return outcome
