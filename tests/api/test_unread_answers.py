"""Answers of HTTP that clients have not taken are bounded."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from kit.web import Client, Web, request

from kvorum.listener.limits import ListenerLimits

VALUE = b'"%b"' % (b"x" * 500_000)
KEYS = [f"k{i}" for i in range(8)]
LIMIT = 3_000_000
LIMITS = ListenerLimits(
    unread_bytes=LIMIT, unread_high_bytes=10_000, stalled_s=1000.0, unread_s=1000.0
)
"""Nobody is cut off for being slow, as a busy machine is slow as well."""
ONE = 2 * len(VALUE) + 1000
"""More than any answer here takes, but those of lists."""
LIST = request("POST", "/entries/get", msgspec.json.encode({"keys": KEYS}))


async def stored(web: Web) -> None:
    await web.start(listener=LIMITS)
    for key in KEYS:
        assert (await web.put(key, VALUE)).status == 201


async def silent(web: Web, count: int, *sent: bytes) -> list[Client]:
    """Clients that ask and do not read."""
    clients = [await web.client(receive_buffer=4096) for _ in range(count)]
    for client in clients:
        client.send(b"".join(sent))
    return clients


class Peak:
    """The most that was ever made and not taken, looked at in each turn of the loop."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self.bytes = 0
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            answers = self._web.server.answers
            held = sum(reader.unread for reader in self._web.server._connections)
            assert held + answers._set_aside <= answers.bytes
            self.bytes = max(self.bytes, held + answers._set_aside)
            await asyncio.sleep(0)

    async def end(self) -> int:
        self._watching.cancel()
        await asyncio.wait({self._watching})
        if not self._watching.cancelled():
            self._watching.result()
        return self.bytes


PAGE, ENTRY = "/entries?limit=2", "/entry/k1"


@pytest.mark.parametrize(
    ("asked", "path"),
    [(LIST, ENTRY), (request("GET", PAGE), PAGE), (request("GET", ENTRY), ENTRY)],
    ids=["lists", "pages", "entries"],
)
async def test_clients_that_never_read_hold_no_more_than_the_bound(
    web: Web, asked: bytes, path: str
) -> None:
    """Others are answered, or told that there is no room; small answers are made as ever."""
    await stored(web)
    peak = Peak(web)
    # More than what the system takes off the server's hands.
    await silent(web, 20, asked * 20)
    for _ in range(50):
        answer = await web.ask("GET", path)
        if answer.status != 200:
            assert (answer.status, answer.fields["retry-after"]) == (503, "1")
            assert answer.json["code"] == "overloaded"
            assert answer.json["outcome"] == "none"
    assert (await web.ask("GET", "/status")).status == 200
    assert (await web.put("other", b"1")).status == 201
    assert LIMIT / 3 < await peak.end() <= LIMIT + ONE


async def test_a_list_says_which_of_its_items_found_no_room(web: Web) -> None:
    await stored(web)
    # All of them together are more than there is room for.
    answer = await web.ask("POST", "/entries/get", msgspec.json.encode({"keys": KEYS}))
    statuses = [entry["status"] for entry in answer.json["entries"]]
    assert set(statuses) == {200, 503}
    refused: list[dict[str, Any]] = [e for e in answer.json["entries"] if e["status"] == 503]
    assert {entry["error"]["code"] for entry in refused} == {"overloaded"}
    assert [entry["key"] for entry in answer.json["entries"]] == KEYS


async def test_what_has_been_done_is_told_in_any_case(web: Web) -> None:
    await stored(web)
    await silent(web, 20, request("GET", "/entry/k0") * 20)
    for key in KEYS[1:]:  # whether there is room or not
        answer = await web.ask("DELETE", f"/entry/{key}")
        assert answer.status == 200
        assert len(answer.json["value"]) == len(VALUE) - 2
