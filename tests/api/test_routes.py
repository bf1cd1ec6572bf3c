"""Which paths and methods exist, and what is said where none does. The node's own documents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from kit.web import Web

from kvorum.model.request import Failure
from kvorum.service.limits import ServiceLimits


@pytest.mark.parametrize(
    "path",
    ["/", "/entry2", "/Entry/k", "/entries/", "/entries/get/x", "//entry/k", "/status/", "*"],
)
async def test_paths_that_do_not_exist(web: Web, path: str) -> None:
    client = await web.client()
    answer = await client.ask("GET", path)
    assert (answer.status, answer.json["code"]) == (404, "unknown_path")
    assert {"/entry/{key}", "/locate/{key}", "/repair/{id}"} < set(answer.json["paths"])
    assert (await client.ask("GET", "/status")).status == 200


async def test_a_body_sent_to_nowhere_is_skipped(web: Web) -> None:
    client = await web.client()
    assert (await client.ask("POST", "/nowhere", b"x" * 1000)).status == 404
    assert (await client.ask("PUT", "/entry", b"x" * 1000)).status == 405
    assert (await client.ask("GET", "/status")).status == 200


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/entry/k", "DELETE, GET, HEAD, PATCH"),
        ("PUT", "/entry/k", "DELETE, GET, HEAD, PATCH"),
        ("OPTIONS", "/entry/k", "DELETE, GET, HEAD, PATCH"),
        ("PUT", "/entry", "DELETE, GET, HEAD, PATCH, POST"),
        ("DELETE", "/entries", "GET, HEAD, POST"),
        ("GET", "/entries/get", "POST"),
        ("POST", "/status", "GET, HEAD"),
        ("TRACE", "/ring", "GET, HEAD"),
        ("PURGE", "/locate/k", "GET, HEAD"),
    ],
)
async def test_methods_that_are_not_allowed(web: Web, method: str, path: str, allow: str) -> None:
    answer = await web.ask(method, path)
    assert (answer.status, answer.json["code"]) == (405, "method_not_allowed")
    assert answer.fields["allow"] == allow
    assert answer.json["allow"] == allow.split(", ")


async def test_the_node_tells_of_itself(web: Web) -> None:
    assert (await web.ask("GET", "/status")).json == {"node": "n1", "records": 0}
    assert (await web.ask("GET", "/ring")).json == {"partitions": []}
    assert (await web.ask("POST", "/clock/accept")).json["clock"] == {"state": "accepted"}
    assert (await web.ask("GET", "/clock/accept")).status == 405
    head = await web.ask("HEAD", "/status")
    assert (head.status, head.body) == (200, b"")
    assert (await web.ask("GET", "/status?x=1")).status == 400


GUIDE = Path(__file__).parents[2] / "docs" / "http-api.md"
PARAMETERS = re.findall(
    r"^\| `([A-Z]+) (/\S+)` \| (`[a-zA-Z_`, ]+`) \| .* \|$", GUIDE.read_text(), re.M
)


def test_the_guide_has_a_table_of_parameters() -> None:
    assert len(PARAMETERS) == 9


@pytest.mark.parametrize(("method", "path", "named"), PARAMETERS)
async def test_the_guide_names_all_parameters_of_a_call(
    web: Web, method: str, path: str, named: str
) -> None:
    answer = await web.ask(method, path.replace("{key}", "k") + "?no_such=1")
    names = named.replace("`", "")
    said = f"Unknown query parameter 'no_such': this call takes {names}."
    assert (answer.status, answer.json["detail"]) == (400, said)


async def test_a_key_is_located(web: Web) -> None:
    answer = await web.ask("GET", "/locate/a%2Fb?namespace=n")
    assert answer.json == {"key": "a/b", "namespace": "n", "owners": ["n1"]}


async def test_a_key_that_cannot_be_located(web: Web) -> None:
    assert (await web.ask("GET", "/locate/")).json["code"] == "invalid_key"
    assert (await web.ask("GET", f"/locate/{'x' * 1025}")).json["code"] == "invalid_key"
    assert (await web.ask("GET", "/locate/a?r=1")).json["code"] == "bad_request"
    web.node.failure = Failure("timeout", "too late", "none", {})
    assert (await web.ask("GET", "/locate/a")).status == 504


async def test_an_error_the_node_raises_takes_no_place_forever(web: Web) -> None:
    await web.start(service=ServiceLimits(in_flight=1))
    for _ in range(3):
        assert (await web.ask("GET", "/locate/a?namespace=nowhere")).status == 400
    assert (await web.ask("GET", "/locate/a")).status == 200
