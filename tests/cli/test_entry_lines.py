"""Reading files of entries."""

from __future__ import annotations

import io
import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.cli.bulk.items import Item, Place, Reject
from kvorum.cli.entries import csv_lines, csv_rows, entry_lines
from kvorum.cli.entries.csv_lines import CsvShape, read_csv
from kvorum.cli.entries.entry_lines import BOM, read_json_lines
from kvorum.client.values import TypedBytes
from kvorum.model.errors import ConfigError

text = st.text(st.characters(exclude_categories=["Cs"]))
cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)


def from_json(data: bytes) -> list[Item | Reject]:
    return list(read_json_lines(io.BytesIO(data)))


def from_csv(data: bytes, shape: CsvShape | None = None) -> list[Item | Reject]:
    return list(read_csv(io.BytesIO(data), shape or CsvShape()))


def entries(lines: list[Item | Reject]) -> list[tuple[str, Any]]:
    return [(line.key, plain(line.value)) for line in lines if isinstance(line, Item)]


def plain(value: msgspec.Raw | bytes) -> Any:
    return value if isinstance(value, bytes) else json.loads(bytes(value))


def rejects(lines: list[Item | Reject]) -> dict[int, str]:
    return {line.line: line.reason for line in lines if isinstance(line, Reject)}


@given(st.lists(st.tuples(text, values)))
def test_json_lines_hold_any_entries(pairs: list[tuple[str, Any]]) -> None:
    data = "".join(
        json.dumps({"key": key, "value": value}, ensure_ascii=False) + "\n" for key, value in pairs
    ).encode()
    lines = from_json(data)
    assert entries(lines) == pairs
    assert [line.line for line in lines] == list(range(1, len(pairs) + 1))


@given(st.lists(text.filter(lambda line: "\n" not in line) | values.map(json.dumps)))
def test_every_line_that_is_not_blank_is_an_item_or_a_reject(lines: list[str]) -> None:
    lines = [line for line in lines if line.strip("\r") == line]
    data = "\n".join(lines).encode()
    numbers = [line.line for line in from_json(data)]
    assert numbers == [n for n, line in enumerate(lines, 1) if line and not line.isspace()]


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"[]",
        b'"text"',
        b"{}",
        b'{"key": "k"}',
        b'{"value": 1}',
        b'{"key": 1, "value": 1}',
        b'{"key": "k", "value": NaN}',
        b'{"key": "k", "value": 1, "vlaue": 2}',
        b'{"key": "k", "value": 1} {"key": "l", "value": 1}',
        b'{"key": "k", "value": "\xff"}',
        b'{"key": "k", "value": "\\ud800"}',
        b'{"key": "k", "value": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"key": "k", "value": "x", "metadata": {"encoding": "base64"}}',
        b'{"key": "k", "value": "eA==", "metadata": {"encoding": "rot13"}}',
        b'{"key": "k", "value": 1, "siblings": [{"value": 2}, {"value": 1}]}',
        b'{"key": "k", "value": 1, "siblings": [7]}',
        b'{"key": "a", "key": "b", "value": 1}',
        b'{"key": "k", "value": 1, "value": 1}',
        b'{"key": "k", "value": 1, "metadata": {"Ttl": 1}}',
        b'{"key": "k", "value": 1, "metadata": {"ttl": 1, "ttl": 2}}',
        b'{"key": "k", "value": 1, "metadata": {"ttl": 0}}',
        b'{"key": "k", "value": 1, "metadata": {"ttl": 1}, "metadata": null}',
        b'{"key": "k", "value": 1, "metadata": {"valueVersion": "v"}}',
        b'{"key": "k", "value": 1, "siblings": [{"value": 1, "value": 1}]}',
        b'{"key": "k", "value": 1, "siblings": [{"value": 1, '
        b'"metadata": {"ttl": 1, "\\u0074tl": 2}}]}',
        b'{"key": "k", "value": 1, "siblings": [{"value": 1, "key": "j"}]}',
    ],
    ids=lambda line: line[:40].decode(errors="replace"),
)
def test_a_wrong_line_is_rejected_and_reading_goes_on(line: bytes) -> None:
    good = b'{"key": "a", "value": 1}\n'
    lines = from_json(good + line + b"\n" + good)
    assert entries(lines) == [("a", 1), ("a", 1)]
    assert list(rejects(lines)) == [2]


def test_bytes_and_siblings() -> None:
    lines = from_json(
        b'{"key": "b", "value": "AP8=", "metadata": {"encoding": "base64"}}\n'
        b'{"key": "s", "value": 2, "siblings": [{"value": 2}, {"value": "eA==", '
        b'"metadata": {"encoding": "base64"}}]}\n'
    )
    assert entries(lines) == [("b", b"\x00\xff"), ("s", 2)]
    assert isinstance(lines[1], Item)
    assert [plain(one.value) for one in lines[1].siblings] == [2, b"x"]


def test_bytes_with_a_content_type() -> None:
    metadata = b'"metadata": {"encoding": "base64", "contentType": "image/png"}'
    [line] = from_json(b'{"key": "b", "value": "AP8=", %b}' % metadata)
    assert isinstance(line, Item)
    assert isinstance(line.value, TypedBytes)
    assert (line.value, line.value.content_type) == (b"\x00\xff", "image/png")


def test_a_value_stays_the_text_it_is() -> None:
    [line] = from_json(b'{"value": {"a": 1.50,  "b": 1E2}, "key": "k"}')
    assert isinstance(line, Item)
    assert isinstance(line.value, msgspec.Raw)
    assert bytes(line.value) == b'{"a": 1.50,  "b": 1E2}'


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm() -> None:
    assert entries(from_json(b'\xef\xbb\xbf{"key": "k", "value": 1}\r\n\r\n')) == [("k", 1)]
    assert entries(from_csv(b"\xef\xbb\xbfkey,value\r\nk,v\r\n\r\n")) == [("k", "v")]


def test_a_line_too_long_is_skipped_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry_lines, "LINE_BYTES_MAX", 100)
    long = b'{"key": "k", "value": "%b"}\n' % (b"x" * 1000)
    good = b'{"key": "a", "value": 1}\n'
    lines = from_json(good + long + good + long.rstrip())
    assert entries(lines) == [("a", 1), ("a", 1)]
    assert list(rejects(lines)) == [2, 4]
    assert lines[2].end == Place(len(good + long + good), 3)


@given(st.lists(st.tuples(text, values) | st.just("wrong"), min_size=1), st.data())
def test_reading_can_go_on_behind_any_line(pairs: list[Any], data: st.DataObject) -> None:
    written = b"".join(
        b"wrong\n"
        if pair == "wrong"
        else json.dumps(dict(zip(("key", "value"), pair, strict=True))).encode() + b"\n"
        for pair in pairs
    )
    lines = from_json(written)
    at = data.draw(st.integers(0, len(lines) - 1))
    stream = io.BytesIO(written)
    stream.seek(lines[at].end.offset)
    assert list(read_json_lines(stream, lines[at].end)) == lines[at + 1 :]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"key": "k"}', "Field 'value' is missing."),
        (b'{"key": 1, "value": 1}', "Field 'key' has to be a string, not a whole number."),
        (
            b'{"key": "k", "value": "\xff"}',
            "The byte 0xff at place 24 of the line is not UTF-8.",
        ),
        (
            b'{"key": "k", "value": "???", "metadata": {"encoding": "base64"}}',
            'The value is not base64 text: "???".',
        ),
        (
            b'{"key": "k", "value": "AAAA", "metadata": {"contentType": "image/png"}}',
            'A value with a contentType is base64 text of bytes: add "encoding": "base64".',
        ),
        (
            b'{"key": "k", "value": "", "metadata": {"encoding": "base64", "contentType": "png"}}',
            "The content type 'png' is no media type. Write type/subtype, with parameters if need "
            "be, such as image/png or text/plain; charset=utf-8.",
        ),
        (
            b'{"key": "k", "value": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            "The JSON is nested more deeply than can be read.",
        ),
    ],
    ids=lambda line: line[:40].decode(errors="replace") if isinstance(line, bytes) else "",
)
def test_what_is_wrong_with_a_line_is_said_in_plain_words(line: bytes, reason: str) -> None:
    assert rejects(from_json(b"\n" + line)) == {2: reason}


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        (b"a\n", 2, "The row has 1 cells, but the header 2 (key, value)."),
        (b'a,1\nb,"x"y\n', 3, "More text follows the quote that closes a cell"),
        (b'a,"open\nb,1\n', 2, "A quote that opens a cell of this row is never closed"),
        (b"a,b\rc\n", 2, "A cell without quotes has a line break"),
        (b"a,\xff\n", 2, "The byte 0xff at place 3 of line 2 is not UTF-8."),
        (b'a,"one\ntwo\n\xff"\n', 2, "The byte 0xff at place 1 of line 4 is not UTF-8."),
        (b"a,\xc3", 2, "The byte 0xc3 at place 3 of line 2 is not UTF-8."),
        (b"a,x\0y\n", 2, "The byte 0x00 at place 4 of line 2 belongs to no text."),
    ],
    ids=lambda data: repr(data) if isinstance(data, bytes) else "",
)
def test_so_is_what_is_wrong_with_a_row(data: bytes, line: int, reason: str) -> None:
    (found,) = rejects(from_csv(b"key,value\n" + data)).items()
    assert found[0] == line
    assert found[1].startswith(reason)


def test_csv_with_a_value_column() -> None:
    assert entries(from_csv(b"key,value\na,1\nb,x y\n")) == [("a", "1"), ("b", "x y")]
    assert entries(from_csv(b"value,key\n1,a\n")) == [("a", "1")]


def test_csv_of_other_columns_makes_objects() -> None:
    data = b'id,name,note\n7,Ada,"one, ""two""\nthree"\n8,Bob,\n'
    assert entries(from_csv(data, CsvShape("id"))) == [
        ("7", {"name": "Ada", "note": 'one, "two"\nthree'}),
        ("8", {"name": "Bob", "note": ""}),
    ]


def test_csv_cells_are_strings_unless_asked_to_be_typed() -> None:
    data = b'key,a,b,c,d,e,f\nk,1,2.5,true,null,007,"[1]"\n'
    as_strings = {"a": "1", "b": "2.5", "c": "true", "d": "null", "e": "007", "f": "[1]"}
    assert entries(from_csv(data)) == [("k", as_strings)]
    typed = {"a": 1, "b": 2.5, "c": True, "d": None, "e": "007", "f": "[1]"}
    assert entries(from_csv(data, CsvShape(typed=True))) == [("k", typed)]


@pytest.mark.parametrize("header", [b"", b"a,b\n", b"key,a,a\n", b'"key\n', b"\xff\n"])
def test_a_csv_header_must_name_the_key(header: bytes) -> None:
    with pytest.raises(ConfigError, match=r"column|no header"):
        from_csv(header + b"1,2,3\n")


@pytest.mark.parametrize("bad", [b"", b"\xff "])
def test_quotes_that_are_not_doubled_do_not_end_the_cell_they_are_in(bad: bytes) -> None:
    lines = from_csv(b'key,value\nk1,"a ' + bad + b'"q" b\nvictim,hacked\nend"\nk2,ok\n')
    assert entries(lines) == [("k2", "ok")]


def test_a_wrong_csv_line_is_rejected_and_reading_goes_on() -> None:
    data = b'key,value\na,1\nb\nc,1,2\nd,\xff\ne,"x"y\nf,2\ng,"open\n'
    lines = from_csv(data)
    assert entries(lines) == [("a", "1"), ("f", "2")]
    assert list(rejects(lines)) == [3, 4, 5, 6, 8]


@pytest.mark.parametrize(
    "row",
    [
        b'k,"cell\nvictim,overwritten\n\xff,x\nvictim,again"\n',
        b'\xff,"cell\nvictim,overwritten\n"\n',
        b'k,"cell\nvictim,overwritten\nsays ""\xff"" and\nvictim,again"\n',
        b'"a"b,"cell\nvictim,overwritten\n"\n',
        b'k,x\r"cell\nvictim,overwritten\n"\n',
        b'k,"cell\nvictim,\0overwritten\nvictim,again\n"\n',
        b'k,"cell\nvictim,overwritten\n",one too many\n',
        b'k,"%b\nvictim,overwritten\n"\n' % (b"x" * 300),
        b'k,"%b\nvictim,overwritten\n"\n' % (b'""' * 300),
        b'k,"%b\nvictim,overwritten\n"\n' % (b"line\n" * 60),
    ],
    ids=lambda row: repr(row)[:60],
)
@pytest.mark.parametrize("follows", [b"after,1\n", b"after,1"])
def test_nothing_within_a_rejected_row_becomes_an_entry(
    monkeypatch: pytest.MonkeyPatch, row: bytes, follows: bytes
) -> None:
    for module in (entry_lines, csv_rows, csv_lines):
        monkeypatch.setattr(module, "LINE_BYTES_MAX", 250)
    data = b"key,value\nbefore,1\n" + row + follows
    lines = from_csv(data)
    assert entries(lines) == [("before", "1"), ("after", "1")]
    assert list(rejects(lines)) == [3]
    after = 3 + row.count(b"\n")
    assert lines[1].end == Place(len(data) - len(follows), after - 1)
    assert lines[2].line == after
    # An import that is taken up there goes on with the same.
    assert list(read_csv(io.BytesIO(data), CsvShape(), lines[1].end)) == lines[2:]


def test_a_quote_that_is_never_closed_takes_no_rows_from_behind_it() -> None:
    lines = from_csv(b'key,value\na,1\nb,"open\n' + b"victim,overwritten\n" * 9)
    assert entries(lines) == [("a", "1")]
    ((line, reason),) = rejects(lines).items()
    assert line == 3
    assert "down to 12" in reason


@given(st.binary(), st.sampled_from([b",", b";", b"\n", b'"', b'"\n"']))
def test_bytes_of_any_kind_are_never_anything_but_rows_or_rejects(
    noise: bytes, between: bytes
) -> None:
    data = b"key,value\n" + noise + between + noise + b'\n"z",1\n'
    lines = from_csv(data)
    assert (
        b"".join(
            data[start.end.offset : line.end.offset] for start, line in itertools.pairwise(lines)
        )
        in data
    )
    ends = [line.end for line in lines]
    assert ends == sorted(set(ends))
    assert all(line.end.offset == len(data) for line in lines[-1:])
    assert all(line.end.line == data.count(b"\n") for line in lines[-1:])


def test_a_byte_order_mark_may_be_followed_by_a_quote() -> None:
    data = BOM + b'"key","the\nvalue"\na,1\n'
    assert entries(from_csv(data)) == [("a", {"the\nvalue": "1"})]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"key,value\ra,1\rb,2\r", "a carriage return alone"),
        (b"key,va\0lue\n", "0x00"),
        (b"key,\xff\n", "0xff at place 5 of line 1"),
        (b'key,"value\na,1\n', "never closed"),
        (b"", "empty"),
        (b"id,name\n", "No column is called 'key'"),
        (b"key,a;key\n", "separated by"),
        (b"key,a,a\n", "Two columns are called 'a'"),
    ],
)
def test_what_is_wrong_with_a_header(header: bytes, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_csv(header)
    assert reason in caught.value.message


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_in_the_header(delimiter: str) -> None:
    others = ",;\t|".replace(delimiter, "")
    rows = [["id", f"the {others} rest"], ["a", others], ["b", f'"x{delimiter}\ny"']]
    data = "".join(delimiter.join(row) + "\n" for row in rows).encode()
    for named in (None, delimiter):
        lines = from_csv(data, CsvShape("id", delimiter=named))
        name = rows[0][1]
        assert entries(lines) == [("a", {name: others}), ("b", {name: f"x{delimiter}\ny"})]


def test_a_delimiter_that_is_given_is_the_one() -> None:
    data = b"key;x,value\na;b,1\n"
    assert entries(from_csv(data)) == [("a", {"x,value": "b,1"})]
    assert entries(from_csv(data, CsvShape("key;x", delimiter=","))) == [("a;b", "1")]
    assert entries(from_csv(b"key,key;x\na,1\n", CsvShape(delimiter=","))) == [
        ("a", {"key;x": "1"})
    ]
    assert entries(from_csv(b"key:value\na:1\n", CsvShape(delimiter=":"))) == [("a", "1")]


def test_a_file_of_keys_alone_needs_no_delimiter() -> None:
    assert entries(from_csv(b"key\na\n")) == [("a", {})]


def test_empty_columns_without_a_name_at_the_end_are_ignored() -> None:
    lines = from_csv(b"key,value,,\na,1,,\nb,2\nc,3,,x\nd,4,,,\n")
    assert entries(lines) == [("a", "1"), ("b", "2")]
    assert list(rejects(lines)) == [4, 5]
    assert "its column has no name" in rejects(lines)[4]


@given(st.lists(st.tuples(cells, cells), min_size=1), st.data())
def test_csv_reading_can_go_on_behind_any_row(
    pairs: list[tuple[str, str]], data: st.DataObject
) -> None:
    def quoted(cell: str) -> str:
        return '"' + cell.replace('"', '""') + '"'

    rows = "".join(f"{quoted(key)},{quoted(value)}\n" for key, value in pairs)
    written = f"key,value\n{rows}".encode()
    lines = from_csv(written)
    assert entries(lines) == pairs
    at = data.draw(st.integers(0, len(lines) - 1))
    resumed = read_csv(io.BytesIO(written), CsvShape(), lines[at].end)
    assert list(resumed) == lines[at + 1 :]
