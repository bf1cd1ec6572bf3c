"""The client for asyncio programs: `kvorum.aio.connect(url)`, same method names as `kvorum`."""

from kvorum.client.asynchronous import AsyncClient, connect

__all__ = ["AsyncClient", "connect"]
