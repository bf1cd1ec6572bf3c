"""The page that maps names of Python, `-o json` and HTTP names what is there on each side."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from click import Context, Group
from click.testing import CliRunner
from kit.http_store import Reply, StoreDouble, answer

import kvorum
from kvorum.api.http.problem import problem
from kvorum.api.presentation import Presenter
from kvorum.cli import main
from kvorum.client import requests
from kvorum.client.questions import put_of
from kvorum.client.requests import Lifetime, Request, Subject
from kvorum.model.errors import NotFound
from kvorum.model.record import JSON, TYPED, Event, Record, Version
from kvorum.model.typed_value import join_type
from kvorum.service.version_string import VersionStrings, subject_of

PAGE: Final = Path(__file__).parent.parent / "docs" / "names.md"
NAME: Final = re.compile(r"`([^`]+)`")


def table(heading: str) -> list[list[str]]:
    """The cells of each row of the table under that heading."""
    part = PAGE.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("|")]
    assert len(rows) > 3
    return rows[2:]


def named(heading: str, column: int) -> set[str]:
    cells = [row[column] for row in table(heading)]
    assert all(NAME.search(cell) or cell == "–" or "201" in cell or "problem" in cell
               for cell in cells)  # fmt: skip
    return {name for cell in cells for name in NAME.findall(cell)}


def paths(document: Any) -> set[str]:
    """The members of a JSON object, those of its members as outer.inner."""
    found = set(document)
    for name, value in document.items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}" for inner in value}
    return found


ENTRY: Final = "What an entry says of itself"
REQUEST: Final = "What a request says"
ERROR: Final = "What an error says"


def test_an_entry_in_python() -> None:
    entry = kvorum.Entry("k", b"1")
    assert {name for name in named(ENTRY, 1) if not hasattr(entry, name)} == set()


def test_an_entry_in_json_of_commands(store: StoreDouble) -> None:
    def printed(*words: str) -> set[str]:
        run = CliRunner().invoke(main, [*words, "-o", "json", "--server", store.address])
        return paths(json.loads(run.stdout))

    there = printed("set", "k", "1", "--ttl", "60") | printed("set", "b", "1", "--bytes")
    there |= printed("get", "b") | printed("get", "k")
    typed = {"valueVersion": "v1", "encoding": "base64", "contentType": "image/png"}
    store.script(answer(Reply(200, {"value": "AQ==", "metadata": typed})))
    there |= printed("get", "typed")
    store.put("s", 1, 2)
    assert named(ENTRY, 2) - (there | printed("get", "s")) == set()


def test_an_entry_in_http() -> None:
    presenter = Presenter(VersionStrings(b"s" * 32), lambda actor: f"n{actor}")
    subject = subject_of("default", "k")
    one, two = Event(1, 1, 1), Event(2, 1, 2)
    versions = (Version(one, JSON, b"1"), Version(two, TYPED, join_type("a/b", b"1"), expires=99))
    _, body = presenter.found(b'{"key":"k",', subject, Record((one, two), versions), hinted=1)
    unread = presenter.unread(b"{", subject, Record((one,)))
    there = paths(msgspec.json.decode(body)) | paths(msgspec.json.decode(unread))
    assert named(ENTRY, 3) - there == set()


def test_a_request_in_python() -> None:
    methods = (kvorum.Client.set, kvorum.Client.get_entry)
    there = {name for method in methods for name in inspect.signature(method).parameters}
    assert named(REQUEST, 1) - there == set()


def test_a_request_on_the_command_line() -> None:
    def options(name: str) -> set[str]:
        assert isinstance(main, Group)
        command = main.get_command(Context(main), name)
        assert command is not None
        return {word for parameter in command.params for word in parameter.opts}

    there = options("set") | options("get")
    assert named(REQUEST, 2) - there == set()


def test_a_request_in_http() -> None:
    def put(lifetime: Lifetime, condition: requests.Pairs) -> Request:
        item = put_of("k", b"1", "v", "shop", lifetime).body
        return requests.put(Subject("shop", "k"), item, 2, "strict", condition)

    sent = [
        put(Lifetime(5), requests.condition("v")),
        put(Lifetime(expires_at=5), requests.ABSENT),
        requests.get("k", "shop", 2, "strict"),
        requests.delete("k", "v", "shop", 2, "strict"),
    ]
    there = {f"the field {name}" for request in sent for name, _ in request.condition}
    for request in sent:
        target = request.to_bytes("host", 5).split(b" ")[1].decode()
        there |= set(re.findall(r"[?&](\w+)=", target))
        there |= paths(msgspec.json.decode(request.body)) if request.body else set()
    cells = [row[3].replace("`", "") for row in table(REQUEST)]
    fields = {cell if "field" not in cell else cell.lower() for cell in cells}
    assert fields - there == set()
    assert "valueVersion" in dict(sent[-1].query)


def test_an_error_in_python() -> None:
    error = NotFound("No such key.")
    assert {name for name in named(ERROR, 1) if not hasattr(error, name)} == set()


def test_an_error_in_json_of_commands(store: StoreDouble) -> None:
    run = CliRunner().invoke(main, ["get", "k", "-o", "json", "--server", store.address])
    assert named(ERROR, 2) - {"error"} - paths(json.loads(run.stderr)) == set()


def test_an_error_in_http() -> None:
    assert named(ERROR, 3) - paths(msgspec.json.decode(problem(NotFound("No such key.")))) == set()


@pytest.mark.parametrize("heading", [ENTRY, REQUEST, ERROR])
def test_each_row_has_all_cells(heading: str) -> None:
    assert {len(row) for row in table(heading)} == {4}
