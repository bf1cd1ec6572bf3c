"""A kvorum server for tests of its clients: the HTTP API over a dict, on a real socket.

It runs on a thread of its own, keeps what it was sent (`requests`), and fails as scripted:
each fault in `faults` is spent on one request for entries, in order of arrival, and a key in
`broken` cannot be written. Clients ask for the ring when they see fit, so such requests are kept
apart (`surveys`), and answered by `ring_fault` if there is one.

Versions are counted by one clock, so the version "v7" covers all writes up to the seventh.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

import msgspec


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    target: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    connection: int
    at: float

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass
class Reply:
    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        body = msgspec.json.encode(self.body)
        kind = "application/json" if self.status < 300 else "application/problem+json"
        fields = {"content-type": kind, "content-length": str(len(body)), **self.headers}
        lines = [f"HTTP/1.1 {self.status} Reason", *(f"{k}: {v}" for k, v in fields.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def problem(
    status: int, code: str, *, outcome: str = "none", detail: str = "", **details: Any
) -> Reply:
    body = {"type": "about:blank", "title": "Title", "status": status, "detail": detail}
    return Reply(status, {**details, **body, "code": code, "outcome": outcome})


Fault = Callable[[Reply, asyncio.StreamWriter], Awaitable[bool]]
"""Does with the reply what it likes; True if the connection goes on."""


def answer(reply: Reply) -> Fault:
    """Another answer; the request is not carried out."""
    return say(reply.to_bytes())


def say(data: bytes, *, close: bool = False) -> Fault:
    """These bytes instead of an answer."""

    async def fault(_: Reply, writer: asyncio.StreamWriter) -> bool:
        writer.write(data)
        await writer.drain()
        return not close

    fault.__dict__["skips"] = True
    return fault


def answer_and_leave(reply: Reply | None = None) -> Fault:
    """The last answer on the connection, which says so; `reply` in place of the store's own."""

    async def fault(own: Reply, writer: asyncio.StreamWriter) -> bool:
        last = own if reply is None else reply
        last.headers["connection"] = "close"
        writer.write(last.to_bytes())
        await writer.drain()
        return False

    if reply is not None:
        fault.__dict__["skips"] = True
    return fault


def hang_up() -> Fault:
    return say(b"", close=True)


def cut_short(count: int) -> Fault:
    """The request is carried out, but only `count` bytes of the answer get through."""

    async def fault(reply: Reply, writer: asyncio.StreamWriter) -> bool:
        writer.write(reply.to_bytes()[:count])
        await writer.drain()
        return False

    return fault


def keep_silent() -> Fault:
    """No answer, for as long as the client cares to wait."""

    async def fault(_: Reply, writer: asyncio.StreamWriter) -> bool:
        await writer.wait_closed()
        return False

    return fault


def answer_then_close() -> Fault:
    """A good answer, and the connection is closed without having said so."""
    return cut_short(1 << 30)


def refuse_items(*positions: int, code: str, outcome: str = "none", status: int = 503) -> Fault:
    """A list is answered with an error for the items at `positions`."""

    async def fault(reply: Reply, writer: asyncio.StreamWriter) -> bool:
        for position in positions:
            error = problem(status, code, outcome=outcome).body
            reply.body["entries"][position] = {"status": status, "error": error}
        writer.write(reply.to_bytes())
        await writer.drain()
        return True

    return fault


@dataclass
class Held:
    dot: int
    json: Any
    encoding: str | None
    expires_at: int | None = None


class Item(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    value: msgspec.Raw
    metadata: dict[str, Any] = {}
    namespace: str = "default"


class StoreDouble:
    def __init__(self, page_size: int = 1000, tls: ssl.SSLContext | None = None) -> None:
        self.page_size = page_size
        self.requests: list[Seen] = []
        self.surveys: list[Seen] = []
        self.ring_fault: Fault | None = None
        self.faults: deque[Fault] = deque()
        self.held: dict[tuple[str, str], list[Held]] = {}
        self.broken: set[str] = set()
        self.documents: dict[str, Any] = {}
        self.admitted: set[str] | None = None
        """What a request may say as its Authorization; None: whatever it likes."""
        self.port = 0
        self._tls = tls
        self._counter = 0
        self._connections = 0
        self._started = threading.Event()
        self._streams: set[asyncio.StreamWriter] = set()

    # what tests use

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"kvorum{'s' * (self._tls is not None)}://{self.address}"

    def script(self, *faults: Fault) -> None:
        self.faults.extend(faults)

    def start(self) -> None:
        """Also starts it again, at the same port, after `stop`."""
        self._started.clear()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()
        assert self._started.wait(10)

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)

    def put(self, key: str, *values: Any, namespace: str = "default") -> None:
        """Hold `values` as siblings."""
        self.held[namespace, key] = [
            Held(self._next_dot(), msgspec.Raw(msgspec.json.encode(value)), None)
            for value in values
        ]

    def value(self, key: str, namespace: str = "default") -> Any:
        return msgspec.json.decode(self.held[namespace, key][-1].json)

    def values(self, namespace: str = "default") -> dict[str, Any]:
        return {key: self.value(key, space) for space, key in self.held if space == namespace}

    # the socket

    def _main(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            runner.run(self._serve())
            self._loop.call_soon(self._started.set)  # when `stop` can stop it
            self._loop.run_forever()
            runner.run(self._shut())

    async def _serve(self) -> None:
        self._server = await asyncio.start_server(
            self._converse, "127.0.0.1", self.port, limit=1 << 24, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        self._server.close()
        for stream in list(self._streams):
            stream.transport.abort()
        deadline = self._loop.time() + 10
        while self._streams and self._loop.time() < deadline:
            await asyncio.sleep(0)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        number = self._connections
        self._streams.add(writer)
        try:
            while await self._exchange(reader, writer, number):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self._streams.discard(writer)

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> bool:
        seen = await self._read(reader, number)
        fault = self._fault(seen)
        if fault is None:
            reply = self._answer(seen)
            writer.write(reply.to_bytes())
            await writer.drain()
            return reply.headers.get("connection") != "close"
        reply = Reply(200, {}) if fault.__dict__.get("skips") else self._answer(seen)
        return await fault(reply, writer)

    def _fault(self, seen: Seen) -> Fault | None:
        if seen.path == "/ring":
            self.surveys.append(seen)
            return self.ring_fault
        self.requests.append(seen)
        about_entries = seen.path.startswith("/entr")
        return self.faults.popleft() if self.faults and about_entries else None

    async def _read(self, reader: asyncio.StreamReader, number: int) -> Seen:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        path, _, query = target.partition("?")
        options = dict(parse_qsl(query, keep_blank_values=True))
        return Seen(method, target, path, options, headers, body, number, self._loop.time())

    # the API

    def _answer(self, seen: Seen) -> Reply:
        if self.admitted is not None and seen.headers.get("authorization") not in self.admitted:
            refusal = problem(401, "unauthenticated", detail="Who asks?", advice="Say it.")
            refusal.headers["connection"] = "close"
            return refusal
        namespace = seen.query.get("namespace", "default")
        parts = seen.path.split("/")[1:]
        if "key" in seen.query:
            parts.append(quote(seen.query["key"], safe=""))
        match seen.method, parts:
            case "POST", ["entry"]:
                item = msgspec.json.decode(seen.body, type=Item)
                return self._refusal(seen, item.namespace, item.key) or self._put(item)
            case "GET", ["entry", key]:
                return self._get(namespace, unquote(key, errors="strict"))
            case "PATCH", ["entry", key]:
                return self._touch(namespace, unquote(key, errors="strict"), seen.json())
            case "DELETE", ["entry", key]:
                key = unquote(key, errors="strict")
                return self._refusal(seen, namespace, key) or self._delete(namespace, key)
            case "POST", ["entries"]:
                items = msgspec.json.decode(seen.body, type=dict[str, list[Item]])["entries"]
                return self._each(self._put(item) for item in items)
            case "POST", ["entries", "get"]:
                keys, space = _of_keys(seen)
                bare = seen.query.get("values") == "false"
                found = [self._get(space, key, key=key) for key in keys]
                return self._each(map(_without_value, found) if bare else iter(found))
            case "POST", ["entries", "touch"]:
                keys, space = _of_keys(seen)
                return self._each(self._touch(space, key, seen.json()) for key in keys)
            case "DELETE", ["entries"] if seen.body:
                keys, space = _of_keys(seen)
                return self._each(_without_value(self._delete(space, key)) for key in keys)
            case "DELETE", ["entries"]:
                return self._clear(namespace, seen.query)
            case "GET", ["entries"]:
                return self._page(namespace, seen.query)
            case "GET", ["entries", "count"]:
                keys, cursor = self._listed(namespace, seen.query)
                return Reply(200, {"count": len(keys), "cursor": cursor})
        if seen.path in self.documents:
            return Reply(200, self.documents[seen.path])
        return problem(404, "unknown_path", detail=f"no {seen.path} here")

    def _next_dot(self) -> int:
        self._counter += 1
        return self._counter

    def _refusal(self, seen: Seen, namespace: str, key: str) -> Reply | None:
        """Of a write whose condition does not hold."""
        held = self.held.get((namespace, key))
        expected = seen.headers.get("if-match")
        if expected is not None and (held is None or expected != f'"v{held[-1].dot}"'):
            return problem(412, "precondition_failed", detail=f"{key!r} is at another version")
        if "if-none-match" in seen.headers and held is not None:
            return problem(412, "precondition_failed", detail=f"{key!r} has a value")
        return None

    def _put(self, item: Item) -> Reply:
        if item.key in self.broken:
            return problem(500, "storage_failed", detail=f"the key {item.key!r} is broken")
        place = item.namespace, item.key
        before = self.held.get(place, [])
        version = item.metadata.get("valueVersion")
        seen = self._counter if version is None else int(version[1:])
        text, encoding = msgspec.Raw(bytes(item.value)), item.metadata.get("encoding")
        new = Held(self._next_dot(), text, encoding, _expires_at(item.metadata))
        now = [held for held in before if held.dot > seen] + [new]
        self.held[place] = now
        reply: dict[str, Any] = {"metadata": self._metadata(now[-1])}
        if len(now) > 1:
            reply["siblings"] = self._siblings(now)
        return Reply(200 if before else 201, reply)

    def _get(self, namespace: str, name: str, **more: Any) -> Reply:
        held = self.held.get((namespace, name))
        if held is None:
            detail = f"the key {name!r} holds no value"
            return Reply(404, problem(404, "not_found", detail=detail).body)
        reply = {"value": held[-1].json, "metadata": self._metadata(held[-1]), **more}
        if len(held) > 1:
            reply["siblings"] = self._siblings(held)
        return Reply(200, reply)

    def _touch(self, namespace: str, name: str, body: dict[str, Any]) -> Reply:
        reply = self._get(namespace, name)
        for held in self.held.get((namespace, name), []):
            held.dot, held.expires_at = self._next_dot(), _expires_at(body["metadata"])
            reply = Reply(200, {"metadata": self._metadata(held)})
        return reply

    def _delete(self, namespace: str, name: str) -> Reply:
        reply = self._get(namespace, name)
        self.held.pop((namespace, name), None)
        return reply

    def _each(self, replies: Iterator[Reply]) -> Reply:
        entries = [
            {"status": r.status, **(r.body if r.status < 300 else {"error": r.body})}
            for r in replies
        ]
        return Reply(200, {"entries": entries})

    def _page(self, namespace: str, query: dict[str, str]) -> Reply:
        keys, cursor = self._listed(namespace, query)
        if query.get("values") == "false":
            return Reply(200, {"keys": keys, "cursor": cursor})
        entries = [self._get(namespace, key, key=key).body for key in keys]
        return Reply(200, {"entries": entries, "cursor": cursor})

    def _clear(self, namespace: str, query: dict[str, str]) -> Reply:
        prefix = query["prefix"]
        if query.get("confirm") != (prefix or namespace):
            return problem(400, "bad_request", detail="confirm is not the prefix")
        keys, cursor = self._listed(namespace, query)
        for key in keys:
            del self.held[namespace, key]
        return Reply(200, {"deleted": len(keys), "cursor": cursor})

    def _listed(self, namespace: str, query: dict[str, str]) -> tuple[list[str], str | None]:
        """The keys of a page, in their order, and its cursor, which is the last of them."""
        after = query.get("cursor", query.get("start_after", ""))
        prefix = query.get("prefix", "")
        keys = sorted(
            key
            for space, key in self.held
            if space == namespace and key.startswith(prefix) and key > after
        )
        page = keys[: min(int(query.get("limit", self.page_size)), self.page_size)]
        return page, page[-1] if len(page) < len(keys) else None

    def _metadata(self, held: Held) -> dict[str, Any]:
        metadata: dict[str, Any] = {
            "valueVersion": f"v{held.dot}",
            "clock": [["n1", held.dot, 1_700_000_000_000 + held.dot]],
            "hash": f"h{held.dot}",
        }
        if held.expires_at is not None:
            metadata["expiresAt"] = held.expires_at
        return metadata if held.encoding is None else {**metadata, "encoding": held.encoding}

    def _siblings(self, held: list[Held]) -> list[dict[str, Any]]:
        return [{"value": h.json, "metadata": self._metadata(h)} for h in reversed(held)]


def _of_keys(seen: Seen) -> tuple[list[str], str]:
    body = seen.json()
    return body["keys"], body.get("namespace", "default")


def _without_value(reply: Reply) -> Reply:
    body = {name: part for name, part in reply.body.items() if name not in ("value", "siblings")}
    return Reply(reply.status, body)


def _expires_at(metadata: dict[str, Any]) -> int | None:
    """This double's clock stands still, so nothing ever expires."""
    ttl = metadata.get("ttl")
    return metadata.get("expiresAt") if ttl is None else 1_700_000_000_000 + ttl * 1000


@contextmanager
def store_double(page_size: int = 1000, tls: ssl.SSLContext | None = None) -> Iterator[StoreDouble]:
    double = StoreDouble(page_size, tls)
    double.start()
    try:
        yield double
    finally:
        double.stop()
