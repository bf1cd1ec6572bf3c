"""GET, POST and DELETE of one entry: bodies, options, versions, siblings, conditions."""

from __future__ import annotations

import base64
import json
import random
import string
from urllib.parse import quote

import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit.node import ACTOR, BORN_MS, FakeNode
from kit.web import Response, Web

from kvorum.api.limits import ApiLimits
from kvorum.model.record import BINARY, JSON
from kvorum.model.request import ABSENT, ANY, EXACT, PRESENT, Delete, Failure, Get, Put
from kvorum.service.limits import ServiceLimits

many_in_one_loop = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def version_of(response: Response) -> str:
    version = response.json["metadata"]["valueVersion"]
    assert isinstance(version, str)
    return version


def problem(response: Response, status: int, code: str) -> dict[str, object]:
    """Check that `response` is such a problem, and nothing else."""
    assert response.status == status, response
    assert response.fields["content-type"] == "application/problem+json"
    body = response.json
    assert body["type"] == "about:blank"
    assert body["title"]
    assert body["status"] == status
    assert body["code"] == code
    assert body["outcome"] in ("none", "unknown")
    assert body["detail"]
    assert body["advice"]
    assert isinstance(body, dict)
    return body


# Storing and reading


async def test_a_new_entry_is_created_and_comes_back(web: Web) -> None:
    created = await web.put("k", b'{"a": [1, 2.50]}')
    assert created.status == 201
    assert created.fields["content-type"] == "application/json"
    read = await web.ask("GET", "/entry/k")
    assert read.status == 200
    assert read.body.startswith(b'{"value":{"a": [1, 2.50]},"metadata":')
    assert read.json["metadata"] == created.json["metadata"]
    assert "siblings" not in read.json


async def test_an_entry_that_is_replaced_answers_200(web: Web) -> None:
    first = await web.put("k", b"1")
    second = await web.put("k", b"2")
    assert (first.status, second.status) == (201, 200)
    assert version_of(first) != version_of(second)
    assert (await web.ask("GET", "/entry/k")).json["value"] == 2


async def test_metadata_shows_the_clock_and_a_hash_of_key_and_value(web: Web) -> None:
    metadata = (await web.put("k", b'"v"')).json["metadata"]
    assert metadata["clock"] == [["n1", 1, BORN_MS + 1]]
    assert metadata["hash"] == xxhash.xxh3_128_hexdigest(b'default\0k\0"v"')


async def test_names_of_nodes_are_escaped_in_clocks_and_strangers_shown_by_number(web: Web) -> None:
    web.node.diverge("k", b"1")
    assert (await web.ask("GET", "/entry/k")).json["metadata"]["clock"][0][0] == 'n2 "é"'


async def test_siblings_are_all_listed_the_latest_first(web: Web) -> None:
    await web.put("k", b'"ours"')
    web.node.diverge("k", b'"theirs"')
    read = (await web.ask("GET", "/entry/k")).json
    assert read["value"] == "theirs"
    assert [sibling["value"] for sibling in read["siblings"]] == ["theirs", "ours"]
    assert [sibling["metadata"]["clock"] for sibling in read["siblings"]] == [
        [['n2 "é"', 2, BORN_MS + 2]],
        [["n1", 1, BORN_MS + 1]],
    ]
    assert read["siblings"][0]["metadata"]["hash"] == read["metadata"]["hash"]
    assert len(read["metadata"]["clock"]) == 2


async def test_writing_back_the_version_that_was_read_resolves_siblings(web: Web) -> None:
    await web.put("k", b'"ours"')
    web.node.diverge("k", b'"theirs"')
    version = version_of(await web.ask("GET", "/entry/k"))
    body = {"key": "k", "value": "both", "metadata": {"valueVersion": version}}
    written = await web.ask("POST", "/entry", json.dumps(body).encode())
    assert written.status == 200
    assert "siblings" not in written.json
    assert (await web.ask("GET", "/entry/k")).json["value"] == "both"


async def test_a_write_that_leaves_siblings_shows_them(web: Web) -> None:
    old = version_of(await web.put("k", b"1"))
    web.node.diverge("k", b"2")
    body = {"key": "k", "value": 3, "metadata": {"valueVersion": old}}
    written = (await web.ask("POST", "/entry", json.dumps(body).encode())).json
    assert [sibling["value"] for sibling in written["siblings"]] == [3, 2]
    assert "value" not in written


async def test_entries_of_namespaces_are_apart(web: Web) -> None:
    body = b'{"key":"k","value":1,"namespace":"other"}'
    assert (await web.ask("POST", "/entry", body)).status == 201
    assert (await web.ask("GET", "/entry/k")).status == 404
    assert (await web.ask("GET", "/entry/k?namespace=other")).json["value"] == 1


async def test_bytes_go_in_and_out_as_base64(web: Web) -> None:
    body = b'{"key":"k","value":"AP/+","metadata":{"encoding":"base64"}}'
    assert (await web.ask("POST", "/entry", body)).status == 201
    assert web.node.record("k").versions[0].kind == BINARY
    assert web.node.record("k").versions[0].value == b"\x00\xff\xfe"
    read = (await web.ask("GET", "/entry/k")).json
    assert read["value"] == "AP/+"
    assert read["metadata"]["encoding"] == "base64"


async def test_siblings_say_their_own_encoding(web: Web) -> None:
    await web.put("k", b"1")
    web.node.diverge("k", b"\xff", BINARY)
    read = (await web.ask("GET", "/entry/k")).json
    assert [s["metadata"].get("encoding") for s in read["siblings"]] == ["base64", None]


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(10**60), max_value=10**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
SPACES = st.text(" \t\r\n", max_size=3)


@many_in_one_loop
@given(
    value=JSON_VALUES, indent=st.none() | st.integers(0, 3), ascii_only=st.booleans(), pad=SPACES
)
def test_the_text_of_a_value_comes_back_byte_for_byte(
    web: Web, value: object, indent: int | None, ascii_only: bool, pad: str
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    sent = text.encode()
    body = b'{"key":"k","value":%b%b%b}' % (pad.encode(), sent, pad.encode())

    async def go_and_come_back() -> None:
        stored = await web.ask("POST", "/entry", body)
        assert stored.status in (200, 201), stored
        read = await web.ask("GET", "/entry/k")
        assert read.body.startswith(b'{"value":' + sent + b',"metadata":{')

    web.run(go_and_come_back())


@pytest.mark.parametrize(
    "text",
    [
        b"1234567890123456789012345678901234567890",
        b"1e999",
        b"-0",
        b"0.10",
        b'"\\u00e9\\/"',
        b"null",
    ],
)
async def test_numbers_and_escapes_stay_as_they_were_written(web: Web, text: bytes) -> None:
    await web.put("k", text)
    read = await web.ask("GET", "/entry/k")
    assert read.body.startswith(b'{"value":' + text + b',"metadata"')


# Keys in paths


@many_in_one_loop
@given(
    key=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40), data=st.data()
)
def test_any_key_can_be_written_in_a_path(web: Web, key: str, data: st.DataObject) -> None:
    """Unreserved characters may be escaped or not, in either case."""
    path = ""
    for byte in key.encode():
        plain = chr(byte)
        if plain in string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@" and data.draw(
            st.booleans()
        ):
            path += plain
        else:
            path += data.draw(st.sampled_from([f"%{byte:02X}", f"%{byte:02x}"]))

    async def ask() -> None:
        assert (await web.ask("GET", f"/entry/{path}")).status == 404

    web.run(ask())
    assert web.node.requests[-1] == Get("default", key)


@pytest.mark.parametrize(
    "key", [".", "..", "a/b", "/", "\0", "%", "a b", "+", "é", "😀", "a?b", "#"]
)
async def test_keys_that_paths_could_mangle(web: Web, key: str) -> None:
    await web.put(key, b"1")
    path = f"/entry/{quote(key, safe='.')}"
    assert (await web.ask("GET", path)).json["value"] == 1
    assert (await web.ask("DELETE", path)).status == 200
    assert (await web.ask("GET", path)).status == 404


@pytest.mark.parametrize("key", [".", "..", "a/b", "a b", "+", "é", "?", "&key=x", "="])
async def test_a_key_may_be_in_the_query(web: Web, key: str) -> None:
    path = f"/entry?key={quote(key, safe='.')}"
    stored = await web.ask("POST", f"{path}&w=1", b'{"value":1,"metadata":{"ttl":60}}')
    assert stored.status == 201
    assert (await web.ask("GET", f"{path}&r=1")).json["value"] == 1
    put = Put("default", key, JSON, b"1", w=1, ttl=60)
    assert web.node.requests == [put, Get("default", key, 1)]
    assert (await web.ask("HEAD", path)).status == 200
    assert (await web.ask("PATCH", path, b'{"metadata":{"ttl":9}}')).status == 200
    assert (await web.ask("GET", f"/entry/{quote(key, safe='.')}")).json["value"] == 1
    assert (await web.ask("DELETE", path)).status == 200
    assert (await web.ask("GET", path)).status == 404
    assert web.node.records.keys() == {("default", key)}


async def test_the_key_in_the_query_is_known_again_on_one_connection(web: Web) -> None:
    await web.put("..", b"1")
    await web.put("k", b"2")
    client = await web.client()
    for path, value in [("/entry?key=..", 1), ("/entry/k", 2), ("/entry?key=k", 2)] * 2:
        assert (await client.ask("GET", path)).json["value"] == value


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/entry/k?key=k", None),
        ("HEAD", "/entry/k?key=j", None),
        ("PATCH", "/entry/k?key=k", b'{"metadata":{"ttl":1}}'),
        ("DELETE", "/entry/k?key=", None),
        ("GET", "/locate/k?key=k", None),
        ("POST", "/entry?key=k", b'{"key":"k","value":1}'),
    ],
)
async def test_a_key_that_is_given_twice_is_refused(
    web: Web, method: str, path: str, body: bytes | None
) -> None:
    answer = await web.ask(method, path, body)
    assert answer.status == 400
    if method != "HEAD":
        assert "The key is given twice" in str(problem(answer, 400, "bad_request")["detail"])
    assert web.node.requests == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/entry", None),
        ("GET", "/entry/?r=1", None),
        ("DELETE", "/entry?key=", None),
        ("PATCH", "/entry", b'{"metadata":{"ttl":1}}'),
        ("GET", "/locate", None),
        ("POST", "/entry?key=", b'{"value":1}'),
    ],
)
async def test_no_key_at_all(web: Web, method: str, path: str, body: bytes | None) -> None:
    problem(await web.ask(method, path, body), 400, "invalid_key")
    assert web.node.requests == []


async def test_an_entry_in_the_query_or_in_a_list_takes_every_member_once(web: Web) -> None:
    repeated = b'{"value":1,"value":1}'
    problem(await web.ask("POST", "/entry?key=k", repeated), 400, "bad_request")
    problem(await web.ask("POST", "/entry", b'{"value":1}'), 400, "bad_request")
    listed = await web.ask("POST", "/entries", b'{"entries":[{"value":1}]}')
    assert listed.json["entries"][0]["error"]["detail"] == "Field 'key' is missing."


async def test_what_is_not_there_says_that_nodes_stand_in(web: Web) -> None:
    for hinted in (0, 2):
        web.node.hinted = hinted
        listed = await web.ask("POST", "/entries/get", b'{"keys":["k"]}')
        told = [
            problem(await web.ask("GET", "/entry/k"), 404, "not_found"),
            problem(await web.ask("DELETE", "/entry/k"), 404, "not_found"),
            listed.json["entries"][0]["error"],
        ]
        for body in told:
            assert body.get("strict", True) == (not hinted)
            assert body.get("hints", 0) == hinted


async def test_a_condition_that_fails_says_that_nodes_stand_in(web: Web) -> None:
    await web.put("k", b"1")
    web.node.hinted = 1
    body = problem(await web.ask("GET", "/entry/k", if_match='"x"'), 412, "precondition_failed")
    assert (body["strict"], body["hints"]) == (False, 1)


@pytest.mark.parametrize(
    "part",
    ["", "%", "%4", "%zz", "a%2", "%FF", "%C3", "%ED%A0%80", "a/b", "/", "a%2Fb/c", "x" * 1025],
)
async def test_parts_of_paths_that_spell_no_key(web: Web, part: str) -> None:
    for method in ("GET", "DELETE"):
        problem(await web.ask(method, f"/entry/{part}"), 400, "invalid_key")
    assert web.node.requests == []


async def test_the_longest_key_is_counted_in_bytes_of_utf8(web: Web) -> None:
    assert (await web.put("é" * 512, b"1")).status == 201
    problem(await web.put("é" * 513, b"1"), 400, "invalid_key")


# Options


async def test_options_reach_the_coordinator(web: Web) -> None:
    await web.ask("GET", "/entry/k?r=2&timeout_ms=60000&namespace=n")
    await web.ask("POST", "/entry?w=3&timeout_ms=1", b'{"key":"k","value":1}')
    await web.ask("DELETE", "/entry/k?w=1&timeout_ms=5&namespace=%6E")
    assert web.node.requests == [
        Get("n", "k", 2, 60000),
        Put("default", "k", JSON, b"1", None, ANY, 3, 1),
        Delete("n", "k", None, ANY, 1, 5),
    ]


@pytest.mark.parametrize(
    "query",
    [
        "r=0", "r=-1", "r=x", "r=", "r", "r=1.0", "r=01", "r=+1", "r=10000", "r=%31%00", "r=١",
        "timeout_ms=0", "timeout_ms=60001", "timeout_ms=1e3", "timeout_ms=99999999999999999999",
        "r=1&r=1", "w=1", "R=1", "unknown=1", "=1", "&", "r=1&", "namespace=", "namespace=-x",
        "namespace=a/b", "namespace=%00", "namespace=" + "n" * 65, "valueVersion=x", "%zz=1",
        "namespace=%FF", "?r=1",
    ],
)  # fmt: skip
async def test_options_that_are_wrong(web: Web, query: str) -> None:
    path = quote(f"/entry/k?{query}", safe="/?&=%")
    problem(await web.ask("GET", path), 400, "bad_request")
    assert web.node.requests == []


# Bodies that are wrong

BAD_BODIES: dict[str, dict[str, bytes]] = {
    "bad_request": {
        "nothing": b"",
        "no JSON": b"key=k",
        "cut off": b'{"key":"k","value":1',
        "more than one": b'{"key":"k","value":1}{}',
        "a byte order mark": b'\xef\xbb\xbf{"key":"k","value":1}',
        "a list": b"[]",
        "null": b"null",
        "no key": b'{"value":1}',
        "no value": b'{"key":"k"}',
        "a number as key": b'{"key":1,"value":1}',
        "null as key": b'{"key":null,"value":1}',
        "deep nesting as key": b'{"key":%b,"value":1}' % (b"[" * 9000),
        "an unknown member": b'{"key":"k","value":1,"ttl":5}',
        "unknown metadata": b'{"key":"k","value":1,"metadata":{"x":1}}',
        "a list as metadata": b'{"key":"k","value":1,"metadata":[]}',
        "a number as version": b'{"key":"k","value":1,"metadata":{"valueVersion":1}}',
        "a lone surrogate as key": b'{"key":"\\ud800","value":1}',
        "a lone surrogate as value": b'{"key":"k","value":"\\ud800"}',
        "a bad namespace": b'{"key":"k","value":1,"namespace":"a b"}',
        "an empty namespace": b'{"key":"k","value":1,"namespace":""}',
        "no UTF-8 in the value": b'{"key":"k","value":"\xff"}',
        "a surrogate in UTF-8": b'{"key":"k","value":"\xed\xa0\x80"}',
        "no UTF-8 in the key": b'{"key":"\xff","value":1}',
        "NaN": b'{"key":"k","value":NaN}',
        "Infinity": b'{"key":"k","value":[Infinity]}',
        "a control character": b'{"key":"k","value":"\x01"}',
        "a leading zero": b'{"key":"k","value":01}',
        "a trailing comma": b'{"key":"k","value":[1,]}',
        "a key twice": b'{"key":"a","key":"k","value":1}',
        "the same key twice": b'{"key":"k","value":1,"key":"k"}',
        "a value twice": b'{"key":"k","value":1,"value":1}',
        "an empty key twice": b'{"key":"","key":"k","value":1}',
        "a value twice, once escaped": b'{"key":"k","value":1,"v\\u0061lue":2}',
        "metadata twice": b'{"key":"k","value":1,"metadata":{},"metadata":{}}',
        "an encoding twice": b'{"key":"k","value":1,"metadata":{"encoding":"x","encoding":"y"}}',
    },
    "invalid_key": {
        "an empty key": b'{"key":"","value":1}',
        "a long key": b'{"key":"%b","value":1}' % (b"k" * 1025),
    },
    "invalid_value": {
        "deep nesting": b'{"key":"k","value":%b}' % (b"[" * 129 + b"]" * 129),
        "a nesting bomb": b'{"key":"k","value":%b}' % (b"[" * 100_000),
        "an unknown encoding": b'{"key":"k","value":"","metadata":{"encoding":"gzip"}}',
        "base64 of no string": b'{"key":"k","value":1,"metadata":{"encoding":"base64"}}',
        "bad base64": b'{"key":"k","value":"A","metadata":{"encoding":"base64"}}',
        "base64 with spaces": b'{"key":"k","value":"AP /+","metadata":{"encoding":"base64"}}',
        "base64 beyond ASCII": b'{"key":"k","value":"\xc3\xa9","metadata":{"encoding":"base64"}}',
    },
    "invalid_version": {
        "a forged version": b'{"key":"k","value":1,"metadata":{"valueVersion":"AAAA"}}',
        "an empty version": b'{"key":"k","value":1,"metadata":{"valueVersion":""}}',
        "no base64url": b'{"key":"k","value":1,"metadata":{"valueVersion":"\xc3\xa9+/"}}',
    },
}


@pytest.mark.parametrize(("code", "name"), [(c, n) for c in BAD_BODIES for n in BAD_BODIES[c]])
async def test_bodies_that_are_wrong(web: Web, code: str, name: str) -> None:
    client = await web.client()
    problem(await client.ask("POST", "/entry", BAD_BODIES[code][name]), 400, code)
    assert web.node.requests == []
    # The framing was sound, so the connection goes on.
    assert (await client.ask("POST", "/entry", b'{"key":"k","value":1}')).status == 201


@pytest.mark.parametrize(
    "body",
    [
        b' { "value" : {"key":"x","key":"y"} , "key" : "k" } \r\n',
        b'{"key":"k","value":"\\"key\\":1","metadata":null,"namespace":null}',
        b'{"key":"k","value":"key","metadata":{}}',
        b'{\n  "key": "k",\n  "value": "value",\n  "metadata": {\n    "encoding": null\n  }\n}',
        b'{"\\u006bey":"\\u006b","value":[%b]}' % (b"[" * 127 + b"]" * 127),
        b'{"key":"k","value":"%b"}' % (b"[" * 500),
        b'{"key":"k","value":[%b{}]}' % (b"[[]]," * 500),
    ],
)
async def test_bodies_that_only_look_wrong(web: Web, body: bytes) -> None:
    assert (await web.ask("POST", "/entry", body)).status == 201


async def test_the_limit_of_a_value(web: Web) -> None:
    await web.start(service=ServiceLimits(value_bytes=100))
    assert (await web.put("k", b'"%b"' % (b"x" * 98))).status == 201
    problem(await web.put("k", b'"%b"' % (b"x" * 99)), 413, "invalid_value")
    encoded = b'{"key":"k","value":"%b","metadata":{"encoding":"base64"}}'
    assert (await web.ask("POST", "/entry", encoded % (b"AAAA" * 33))).status == 200
    problem(await web.ask("POST", "/entry", encoded % (b"AAAA" * 34)), 413, "invalid_value")


async def test_a_value_of_a_mebibyte_goes_in_and_out(web: Web) -> None:
    value = b'"%b"' % (b"x" * ((1 << 20) - 2))
    assert (await web.put("k", value)).status == 201
    assert (await web.ask("GET", "/entry/k")).body.startswith(b'{"value":' + value)
    problem(await web.put("k", b" " + value[:-1] + b'xx"'), 413, "invalid_value")


async def test_a_mebibyte_as_base64_goes_in_and_out_and_a_byte_more_does_not(web: Web) -> None:
    body = b'{"key":"k","value":"%b","metadata":{"encoding":"base64"}}'
    value = random.Random(5).randbytes(1 << 20)
    text = base64.b64encode(value)
    client = await web.client()
    assert (await client.ask("POST", "/entry", body % text)).status == 201
    assert web.node.requests[-1] == Put("default", "k", BINARY, value)
    assert (await web.ask("GET", "/entry/k")).body.startswith(b'{"value":"%b"' % text)
    escaped = body % text.replace(b"/", rb"\/")
    assert (await client.ask("POST", "/entry", escaped)).status == 200
    longer = base64.b64encode(value + b"x")
    problem(await client.ask("POST", "/entry", body % longer), 413, "invalid_value")
    assert (await client.ask("GET", "/status")).status == 200


HALF = "surrogate"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (rb'{"key":"k","value":"\ud800"}', [r"\ud800 ", HALF]),
        (rb'{"key":"k","value":"\uDC00 and more text than that"}', [r"\uDC00 ", HALF]),
        (rb'{"key":"k","value":"\\\ud83d\ude00\\ud800 \ud801\ud83d"}', [r"\ud801 ", HALF]),
        (rb'{"key":"\udfff","value":1}', [r"\udfff ", HALF]),
        (rb'{"key":"k","value":"\ud83d\ude00', ["ends before it is complete"]),
        (b"", ["No JSON is given."]),
        (b'{"key":"k","value":tru}', ["Invalid JSON at byte 20"]),
        (b'{"key":5,"value":1}', ["'key'", "a string, not a whole number"]),
        (b'{"key":null,"value":1}', ["'key'", "a string, not null"]),
        (b"[]", ["The JSON", "an object, not an array"]),
        (b'{"key":"k"}', ["Field 'value' is missing."]),
        (b'{"key":"k","value":1,"vlaue":2}', ["Unknown field 'vlaue'."]),
        (b'{"key":"k","value":1,"metadata":{"tll":2}}', ["Unknown field 'metadata.tll'."]),
        (b'{"key":"k","value":1,"ttl":2}', ["Unknown field 'ttl': put it into metadata."]),
        (
            b'{"key":"k","value":1,"metadata":{"ttl":1.5}}',
            ["'metadata.ttl'", "a whole number or null, not a number that is not whole"],
        ),
        (b'{"key":"k","value":1,"metadata":{"ttl":1e400}}', ["metadata.ttl"]),
        (
            b'{"key":"k","value":[1],"metadata":{"encoding":"base64"}}',
            ["The value is an array", "base64"],
        ),
        (
            b'{"key":"k","value":null,"metadata":{"encoding":"base64"}}',
            ["The value is null", "base64"],
        ),
        (b'{"key":"k","value":"\xff"}', ["UTF-8"]),
    ],
)
async def test_a_body_that_is_wrong_is_told_so_in_plain_words(
    web: Web, body: bytes, said: list[str]
) -> None:
    detail = (await web.ask("POST", "/entry", body)).json["detail"]
    for part in said:
        assert part in detail
    for jargon in ("`", "Expected", "malformed", "truncated", "Object", "utf-16", "$"):
        assert jargon not in detail


async def test_a_list_that_is_wrong_is_told_so_in_plain_words(web: Web) -> None:
    await web.start(api=ApiLimits(list_items=3))
    for body, said in (
        (b'{"keys":["a","b","c","d"]}', "There are more than 3 items in the list."),
        (b'{"keys":["a",2]}', "Field 'keys[1]' has to be a string, not a whole number."),
    ):
        assert (await web.ask("POST", "/entries/get", body)).json["detail"] == said


# Deleting


async def test_a_delete_answers_what_it_deleted(web: Web) -> None:
    await web.put("k", b'"v"')
    read = await web.ask("GET", "/entry/k")
    deleted = await web.ask("DELETE", "/entry/k")
    assert deleted.status == 200
    assert deleted.json == read.json
    problem(await web.ask("GET", "/entry/k"), 404, "not_found")
    problem(await web.ask("DELETE", "/entry/k"), 404, "not_found")


async def test_what_never_was_has_no_version(web: Web) -> None:
    assert "valueVersion" not in problem(await web.ask("GET", "/entry/k"), 404, "not_found")


async def test_a_delete_that_could_not_read_what_it_deleted_says_so(web: Web) -> None:
    web.node.damaged = True
    response = await web.ask("DELETE", "/entry/k")
    assert response.status == 200
    assert response.json["value"] is None
    metadata = response.json["metadata"]
    assert metadata["unread"] is True
    assert [entry[:2] for entry in metadata["clock"]] == [["n1", 1]]
    body = {"key": "k", "value": 1, "metadata": {"valueVersion": version_of(response)}}
    assert (await web.ask("POST", "/entry", json.dumps(body).encode())).status == 201


async def test_a_deleted_entry_has_a_version_to_write_on(web: Web) -> None:
    await web.put("k", b"1")
    await web.ask("DELETE", "/entry/k")
    version = problem(await web.ask("GET", "/entry/k"), 404, "not_found")["valueVersion"]
    body = {"key": "k", "value": 2, "metadata": {"valueVersion": version}}
    created = await web.ask("POST", "/entry", json.dumps(body).encode())
    assert created.status == 201
    put = web.node.requests[-1]
    assert isinstance(put, Put)
    assert [event.actor for event in put.seen or ()] == [ACTOR]


async def test_a_delete_can_name_the_version_it_has_seen(web: Web) -> None:
    version = version_of(await web.put("k", b"1"))
    assert (await web.ask("DELETE", f"/entry/k?valueVersion={version}")).status == 200
    deletion = web.node.requests[-1]
    assert isinstance(deletion, Delete)
    assert deletion.seen
    assert deletion.expect == ANY
    bad = await web.ask("DELETE", f"/entry/k?valueVersion={version[:-2]}AA")
    problem(bad, 400, "invalid_version")


async def test_a_version_works_for_its_own_key_and_namespace_only(web: Web) -> None:
    version = version_of(await web.put("k", b"1"))
    for key, namespace in (("l", "default"), ("k", "other"), ("k\0", "default")):
        body = {
            "key": key,
            "namespace": namespace,
            "value": 1,
            "metadata": {"valueVersion": version},
        }
        answer = await web.ask("POST", "/entry", json.dumps(body).encode())
        problem(answer, 400, "invalid_version")


# Conditions


async def test_the_entity_tag_is_the_quoted_version(web: Web) -> None:
    written = await web.put("k", b"1")
    read = await web.ask("GET", "/entry/k")
    assert written.fields["etag"] == read.fields["etag"] == f'"{version_of(read)}"'


async def test_if_none_match_on_a_read(web: Web) -> None:
    etag = (await web.put("k", b"1")).fields["etag"]
    client = await web.client()
    for tags in (etag, f"W/{etag}", f'"x" , {etag}', "*"):
        unchanged = await client.ask("GET", "/entry/k", if_none_match=tags)
        assert unchanged.status == 304
        assert unchanged.fields["etag"] == etag
        assert unchanged.body == b""
    assert (await client.ask("GET", "/entry/k", if_none_match='"x", W/"y"')).status == 200
    await web.put("k", b"2")
    assert (await client.ask("GET", "/entry/k", if_none_match=etag)).status == 200
    assert (await client.ask("GET", "/entry/l", if_none_match="*")).status == 404


async def test_if_match_on_a_read(web: Web) -> None:
    etag = (await web.put("k", b"1")).fields["etag"]
    assert (await web.ask("GET", "/entry/k", if_match=etag)).status == 200
    assert (await web.ask("GET", "/entry/k", if_match="*")).status == 200
    for tags in (f"W/{etag}", '"x"'):
        problem(await web.ask("GET", "/entry/k", if_match=tags), 412, "precondition_failed")


async def test_a_tag_may_lack_its_quotes(web: Web) -> None:
    version = version_of(await web.put("k", b"1"))
    assert (await web.ask("GET", "/entry/k", if_none_match=version)).status == 304
    assert (await web.ask("GET", "/entry/k", if_none_match=f'"x", {version}')).status == 304
    assert (await web.ask("GET", "/entry/k", if_none_match="x")).status == 200
    assert (await web.ask("GET", "/entry/k", if_match=version)).status == 200
    second = await web.put("k", b"2", if_match=version)
    assert second.status == 200
    assert web.node.requests[-1].expect == EXACT  # type: ignore[union-attr]
    problem(await web.put("k", b"3", if_match=version), 412, "precondition_failed")
    assert (await web.ask("DELETE", "/entry/k", if_match=version_of(second))).status == 200


async def test_a_malformed_condition_is_named(web: Web) -> None:
    await web.put("k", b"1")
    body = problem(await web.put("k", b"2", if_match='*, "x"'), 400, "bad_request")
    assert str(body["detail"]).startswith("If-Match has to be ")
    body = problem(await web.ask("GET", "/entry/k", if_none_match='"x'), 400, "bad_request")
    assert str(body["detail"]).startswith("If-None-Match has to be ")


async def test_if_match_on_writes(web: Web) -> None:
    etag = (await web.put("k", b"1")).fields["etag"]
    second = await web.put("k", b"2", if_match=etag)
    assert second.status == 200
    assert web.node.requests[-1].expect == EXACT  # type: ignore[union-attr]
    problem(await web.put("k", b"3", if_match=etag), 412, "precondition_failed")
    problem(await web.ask("DELETE", "/entry/k", if_match=etag), 412, "precondition_failed")
    problem(await web.ask("DELETE", "/entry/k", if_match="x"), 412, "precondition_failed")
    assert (await web.ask("DELETE", "/entry/k", if_match=second.fields["etag"])).status == 200


async def test_writes_only_where_there_is_something_or_nothing(web: Web) -> None:
    problem(await web.put("k", b"1", if_match="*"), 412, "precondition_failed")
    assert web.node.requests[-1].expect == PRESENT  # type: ignore[union-attr]
    assert (await web.put("k", b"1", if_none_match="*")).status == 201
    assert web.node.requests[-1].expect == ABSENT  # type: ignore[union-attr]
    problem(await web.put("k", b"1", if_none_match="*"), 412, "precondition_failed")
    assert (await web.put("k", b"2", if_match="*")).status == 200


@pytest.mark.parametrize("tags", ['"AAAA"', '""', 'W/"AAAA"', '"' + "é" + '"'])
async def test_a_tag_of_no_version_matches_nothing(web: Web, tags: str) -> None:
    await web.put("k", b"1")
    problem(await web.put("k", b"2", if_match=tags), 412, "precondition_failed")
    assert web.node.record("k").versions[0].value == b"1"


async def test_a_weak_tag_of_the_right_version_does_not_match(web: Web) -> None:
    etag = (await web.put("k", b"1")).fields["etag"]
    problem(await web.put("k", b"2", if_match=f"W/{etag}"), 412, "precondition_failed")


@pytest.mark.parametrize(
    "fields",
    [
        {"if_match": "x y"},
        {"if_match": "é"},
        {"if_match": ""},
        {"if_match": '"x'},
        {"if_match": 'w/"x"'},
        {"if_match": '"x" "y"'},
        {"if_match": '"x",'},
        {"if_match": '"x", "y"'},
        {"if_match": '*, "x"'},
        {"if_none_match": '"x"'},
        {"if_match": "*", "if_none_match": "*"},
    ],
)
async def test_conditions_a_write_cannot_keep_are_refused(web: Web, fields: dict[str, str]) -> None:
    problem(await web.put("k", b"1", **fields), 400, "bad_request")
    assert web.node.requests == []


async def test_a_condition_that_is_given_twice_is_a_list(web: Web) -> None:
    etag = (await web.put("k", b"1")).fields["etag"]
    client = await web.client()
    twice = f'If-None-Match: "x"\r\nif-none-match: {etag}'
    client.send(f"GET /entry/k HTTP/1.1\r\nHost: a\r\n{twice}\r\n\r\n".encode())
    assert (await client.response()).status == 304


async def test_version_and_entity_tag_must_agree(web: Web) -> None:
    version = version_of(await web.put("k", b"1"))
    body = b'{"key":"k","value":2,"metadata":{"valueVersion":"%b"}}' % version.encode()
    other = version_of(await web.put("k", b"2"))
    answer = await web.ask("POST", "/entry", body, if_match=f'"{other}"')
    problem(answer, 400, "bad_request")
    answer = await web.ask("POST", "/entry", body, if_match=f'"{version}"')
    problem(answer, 412, "precondition_failed")


# HEAD, failures, faults


async def test_head_is_get_without_the_body(web: Web) -> None:
    await web.put("k", b"1")
    client = await web.client()
    read = await client.ask("GET", "/entry/k")
    head = await client.ask("HEAD", "/entry/k")
    assert head.status == 200
    assert head.fields["content-length"] == read.fields["content-length"]
    assert head.fields["etag"] == read.fields["etag"]
    assert head.body == b""
    assert (await client.ask("HEAD", "/entry/l")).status == 404
    assert (await client.ask("GET", "/entry/k")).body == read.body


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (Failure("quorum_not_met", "wanted 2", "none", {"needed": 2, "replicas": ["n1"]}), 503),
        (Failure("timeout", "too late", "unknown", {}), 504),
        (Failure("overloaded", "full", "none", {"retry_after": 0.2}), 503),
        (Failure("storage_failed", "no space", "unknown", {}), 500),
        (Failure("namespace_not_found", "no such namespace", "none", {}), 404),
        (Failure("bad_request", "r is out of range", "none", {"wanted": "1..3"}), 400),
        (Failure("code_of_a_later_version", "new", "unknown", {}), 500),
    ],
)
async def test_failures_become_problems(web: Web, failure: Failure, status: int) -> None:
    web.node.failure = failure
    answers = [
        await web.ask("GET", "/entry/k"),
        await web.put("k", b"1"),
        await web.ask("DELETE", "/entry/k"),
    ]
    for answer in answers:
        body = problem(answer, status, failure.code)
        assert body["outcome"] == failure.outcome
        assert body["detail"] == failure.message
        assert failure.details.items() <= body.items()
    if "retry_after" in failure.details:
        assert answers[0].fields["retry-after"] == "1"


async def test_details_cannot_pose_as_members_of_the_problem(web: Web) -> None:
    web.node.failure = Failure("timeout", "late", "unknown", {"code": "x", "status": 1, "title": 2})
    problem(await web.ask("GET", "/entry/k"), 504, "timeout")


@pytest.mark.parametrize("details", [{"message": "x"}, {"self": 1}, {"retry_after": "soon"}])
async def test_a_failure_that_makes_no_sense_is_a_fault(
    web: Web, details: dict[str, object]
) -> None:
    """Failures come from other nodes too."""
    web.node.failure = Failure("timeout", "late", "unknown", details)
    problem(await web.ask("GET", "/entry/k"), 500, "internal_error")
    answer = await web.ask("POST", "/entries/get", b'{"keys":["k"]}')
    assert answer.json["entries"][0]["error"]["outcome"] == "unknown"


async def test_a_long_message_is_cut(web: Web) -> None:
    name = b"x" * 100_000
    answer = await web.ask("POST", "/entry", b'{"key":"k","value":1,"%b":1}' % name)
    assert len(str(problem(answer, 400, "bad_request")["detail"])) <= 1000


async def test_a_fault_of_the_server_is_told_and_stays_where_it_is(
    web: Web, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = await web.client()

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(FakeNode, "submit", fail)
        answer = problem(await client.ask("GET", "/entry/k"), 500, "internal_error")
        assert answer["outcome"] == "unknown"
    with monkeypatch.context() as patch:
        patch.setattr(FakeNode, "result", lambda *_: "no result at all")
        problem(await client.ask("GET", "/entry/k"), 500, "internal_error")
    assert "ZeroDivisionError" in caplog.text
    assert (await client.ask("GET", "/entry/k")).status == 404
