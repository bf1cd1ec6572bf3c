"""The chain: whatever is done to lines between its first and its last one is found."""

from __future__ import annotations

import shutil
import tempfile
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.audit_logs import lines, written

from kvorum.audit.chain import NOTHING, Link, read_line, seal
from kvorum.audit.files import path_of
from kvorum.audit.verification import Verdict, verify

ENTRIES = 12


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("log") / "audit"
    written(directory, ENTRIES)
    return directory


def verified(text: bytes, *expected: Link) -> Verdict:
    """A log of one file with this text."""
    with tempfile.TemporaryDirectory() as place:
        path_of(Path(place), 1).write_bytes(text)
        return verify(Path(place), expected)


def last_of(log: Path) -> Link:
    read = read_line(lines(log)[-1][:-1])
    assert read is not None
    return read.link


def test_a_whole_log_is_whole(log: Path) -> None:
    verdict = verify(log, [last_of(log)])
    assert verdict.problem is None
    # Beside those that were noted, it has been started and stopped.
    assert (verdict.first.number, verdict.last) == (1, last_of(log))
    assert verdict.entries == ENTRIES + 2


def test_the_rule_of_the_hash_is_the_one_that_is_written_down(log: Path) -> None:
    before = "0" * 64
    for number, line in enumerate(lines(log), 1):
        text = line.rstrip(b"\n")
        hashed, digest = text[:-75], text[-66:-2].decode()
        assert text == hashed + b',"hash":"%b"}' % digest.encode()
        assert sha256(hashed).hexdigest() == digest
        assert hashed.endswith(b',"n":%d,"prev":"%b"' % (number, before.encode()))
        before = digest


@given(st.data())
def test_a_byte_that_was_changed_is_found(log: Path, data: st.DataObject) -> None:
    text = bytearray(b"".join(lines(log)))
    place = data.draw(st.integers(0, len(text) - 1))
    text[place] ^= data.draw(st.integers(1, 255))
    assert verified(bytes(text)).problem is not None


@given(st.data())
def test_lines_that_were_removed_are_found(log: Path, data: st.DataObject) -> None:
    text = lines(log)
    first = data.draw(st.integers(0, len(text) - 2))
    last = data.draw(st.integers(first + 1, len(text) - 1))
    problem = verified(b"".join(text[:first] + text[last:])).problem
    assert problem is not None
    assert problem.wrong == "missing"


@given(st.data())
def test_lines_that_changed_places_are_found(log: Path, data: st.DataObject) -> None:
    text = lines(log)
    one, other = data.draw(
        st.lists(st.integers(1, len(text) - 1), min_size=2, max_size=2, unique=True)
    )
    text[one], text[other] = text[other], text[one]
    problem = verified(b"".join(text)).problem
    assert problem is not None
    assert (problem.wrong, problem.line) == ("reordered", min(one, other) + 1)


@given(st.data())
def test_a_line_that_was_inserted_is_found(log: Path, data: st.DataObject) -> None:
    text = lines(log)
    place = data.draw(st.integers(1, len(text)))
    before = read_line(text[place - 1][:-1])
    assert before is not None
    forged, _ = seal(b'{"action":"forged"}', before.link)
    problem = verified(b"".join([*text[:place], forged, *text[place:]]), last_of(log)).problem
    if place == len(text):
        assert problem is None, "who appends, appends"
    else:
        assert problem is not None


@given(st.data())
def test_an_end_that_was_cut_off_is_found_where_it_was_noted(
    log: Path, data: st.DataObject
) -> None:
    text = b"".join(lines(log))
    cut = text[: data.draw(st.integers(1, len(text) - 1))]
    problem = verified(cut, last_of(log)).problem
    assert problem is not None
    assert problem.wrong == ("truncated" if cut.endswith(b"\n") else "torn")
    if cut.endswith(b"\n"):
        assert verified(cut).problem is None, "the chain alone cannot show it"


@given(st.data())
def test_a_file_that_was_cut_in_the_middle_of_the_log_is_found(
    log: Path, data: st.DataObject
) -> None:
    text = lines(log)
    middle = len(text) // 2
    first, second = b"".join(text[:middle]), b"".join(text[middle:])
    cut = data.draw(st.integers(0, len(first) - 1))
    with tempfile.TemporaryDirectory() as place:
        path_of(Path(place), 1).write_bytes(first[:cut])
        path_of(Path(place), 2).write_bytes(second)
        problem = verify(Path(place)).problem
    assert problem is not None
    assert problem.wrong in ("torn", "missing")


def test_a_chain_made_anew_is_found_where_a_hash_was_noted(log: Path) -> None:
    last = NOTHING
    forged = []
    for text in lines(log):
        line, last = seal(
            text[: text.index(b',"n":')].replace(b"10.0.0.7", b"10.0.0.8") + b"}", last
        )
        forged.append(line)
    assert verified(b"".join(forged)).problem is None, "the chain alone cannot show it"
    problem = verified(b"".join(forged), last_of(log)).problem
    assert problem is not None
    assert problem.wrong == "rewritten"


def test_a_line_that_was_changed_with_its_hash_does_not_fit_the_next(log: Path) -> None:
    text = lines(log)
    before = read_line(text[3][:-1])
    assert before is not None
    body = text[4][: text[4].index(b',"n":')].replace(b"k3", b"k4") + b"}"
    text[4], _ = seal(body, before.link)
    problem = verified(b"".join(text)).problem
    assert problem is not None
    assert (problem.wrong, problem.line) == ("changed", 6)


def test_a_file_that_was_removed_is_found(tmp_path: Path) -> None:
    written(tmp_path, 300, file_bytes=4000)
    assert verify(tmp_path).problem is None
    for number, line in ((1, 0), (2, 1)):
        copy = tmp_path.with_name(f"without-{number}")
        shutil.copytree(tmp_path, copy)
        path_of(copy, number).unlink()
        problem = verify(copy).problem
        assert problem is not None
        assert (problem.wrong, problem.line) == ("missing", line)


def test_a_directory_without_entries_is_not_whole(tmp_path: Path) -> None:
    path_of(tmp_path, 1).touch()
    problem = verify(tmp_path).problem
    assert problem is not None
    assert problem.wrong == "missing"


def test_no_line_is_read_without_a_bound(tmp_path: Path) -> None:
    written(tmp_path, 2)
    with path_of(tmp_path, 1).open("ab") as file:
        file.truncate(64 << 20)
    problem = verify(tmp_path).problem
    assert problem is not None
    assert (problem.wrong, problem.line) == ("changed", 5)
