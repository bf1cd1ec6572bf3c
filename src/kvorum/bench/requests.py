"""Operations as the bytes of HTTP requests, and the one thing to know of an answer's body.

The client's own `Request` quotes and encodes anything. Here keys and values are plain ASCII
by construction, so a request is one format and one copy.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

import msgspec

from kvorum import __version__
from kvorum.bench.plan import Plan
from kvorum.client.access import authorization_of
from kvorum.client.url import host_port
from kvorum.model.errors import ProtocolError


class _Metadata(msgspec.Struct, rename="camel"):
    value_version: str


class _Found(msgspec.Struct):
    metadata: _Metadata


_found: Final = msgspec.json.Decoder(_Found)


class Requests:
    """Makes the requests of a plan."""

    __slots__ = ("_get_tail", "_put_head", "_put_tail")

    def __init__(self, plan: Plan) -> None:
        # The servers are one service; which of them is asked is the connection's matter.
        fields = f"Host: {host_port(plan.servers[0])}\r\nUser-Agent: kvorum-bench/{__version__}\r\n"
        if plan.security is not None:
            fields += authorization_of(plan.security)
        get_query = _query(namespace=plan.namespace, r=plan.read_quorum)
        put_query = _query(w=plan.write_quorum)
        self._get_tail = f"{get_query} HTTP/1.1\r\n{fields}\r\n"
        self._put_head = (
            f"POST /entry{put_query} HTTP/1.1\r\n{fields}"
            "Content-Type: application/json\r\nContent-Length: "
        )
        self._put_tail = f',"namespace":"{plan.namespace}"}}' if plan.namespace else "}"

    def get(self, key: str) -> bytes:
        return f"GET /entry/{key}{self._get_tail}".encode("ascii")

    def put(self, key: str, value: str) -> bytes:
        return self._post(f'{{"key":"{key}","value":"{value}"{self._put_tail}')

    def replace(self, key: str, value: str, version: str) -> bytes:
        """A put that replaces exactly what `version` stands for."""
        quoted = msgspec.json.encode(version).decode("utf-8")
        metadata = f'"metadata":{{"valueVersion":{quoted}}}'
        return self._post(f'{{"key":"{key}","value":"{value}",{metadata}{self._put_tail}')

    def _post(self, body: str) -> bytes:
        data = body.encode("utf-8")
        return b"%s%d\r\n\r\n%s" % (self._put_head.encode("ascii"), len(data), data)


def version_in(body: bytes) -> str:
    """The valueVersion of an answered get. Raises ProtocolError if there is none."""
    try:
        return _found.decode(body).metadata.value_version
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"The answer is no entry with a valueVersion: {error}.") from error


def _query(**options: str | int | None) -> str:
    given = {name: value for name, value in options.items() if value is not None}
    return f"?{urlencode(given)}" if given else ""
