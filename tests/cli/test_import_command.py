"""import, and export as its reverse."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kit.http_store import Reply, StoreDouble, answer, hang_up, problem, refuse_items

from kvorum.cli import main
from kvorum.cli.bulk.pipeline import BATCH_ITEMS
from kvorum.cli.errors import ExitCode

Kvorum = Callable[..., Result]


@pytest.fixture
def kvorum(store: StoreDouble) -> Kvorum:
    store.documents["/status"] = {}

    def call(*words: str | Path, stdin: bytes | None = None) -> Result:
        env = {"KVORUM_SERVER": store.address}
        return CliRunner().invoke(main, [str(word) for word in words], input=stdin, env=env)

    return call


def json_lines(pairs: dict[str, Any]) -> str:
    return "".join(json.dumps({"key": k, "value": v}) + "\n" for k, v in pairs.items())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "entries.jsonl"


def checkpoint_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.kvorum-import")


def many(count: int) -> dict[str, Any]:
    return {f"k{n}": {"n": n} for n in range(count)}


def test_every_line_is_stored(kvorum: Kvorum, store: StoreDouble, file: Path) -> None:
    pairs = many(3 * BATCH_ITEMS + 7)
    file.write_text(json_lines(pairs))
    result = kvorum("import", file)
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"{len(pairs):,}" in result.stdout
    assert store.values() == pairs
    assert not checkpoint_of(file).exists()


def test_the_summary_for_programs(kvorum: Kvorum, file: Path) -> None:
    file.write_text(json_lines(many(3)))
    summary = json.loads(kvorum("import", file, "-o", "json").stdout)
    assert summary.items() >= {"file": str(file), "stored": 3, "rejected": 0}.items()
    assert summary.keys() >= {"seconds", "entries_per_s"}


def test_stdin(kvorum: Kvorum, store: StoreDouble) -> None:
    result = kvorum("import", "-", stdin=json_lines(many(3)).encode())
    assert (result.exit_code, store.values()) == (0, many(3))
    csv = b"key,value\na,1\n"
    assert kvorum("import", "-", "--format", "csv", stdin=csv).exit_code == 0
    assert store.value("a") == "1"


def test_an_empty_file(kvorum: Kvorum, store: StoreDouble, file: Path) -> None:
    file.write_text("")
    assert kvorum("import", file).exit_code == 0
    assert store.values() == {}


def test_csv(kvorum: Kvorum, store: StoreDouble, tmp_path: Path) -> None:
    file = tmp_path / "cities.csv"
    file.write_text("id,name,people\n1,Köln,1085664\n2,Bonn,\n")
    result = kvorum("import", file, "--key-column", "id", "--typed", "--namespace", "geo")
    assert result.exit_code == 0
    assert store.values("geo") == {
        "1": {"name": "Köln", "people": 1085664},
        "2": {"name": "Bonn", "people": ""},
    }
    assert kvorum("import", file).exit_code == ExitCode.CONFIG


def test_wrong_lines_are_told_and_left_out(kvorum: Kvorum, store: StoreDouble, file: Path) -> None:
    lines = [
        '{"key": "a", "value": 1}',
        "nonsense",
        '{"key": "", "value": 2}',
        '{"key": "b", "value": 3}',
    ]
    file.write_text("\n".join(lines))
    result = kvorum("import", file)
    assert result.exit_code == ExitCode.REFUSED
    assert store.values() == {"a": 1, "b": 3}
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["line 2", "line 3"]
    assert not checkpoint_of(file).exists()
    as_json = kvorum("import", file, "-o", "json")
    assert json.loads(as_json.stdout)["rejected"] == 2
    told = [json.loads(line) for line in as_json.stderr.splitlines()]
    assert [line["line"] for line in told] == [2, 3]


def test_what_the_cluster_calls_wrong_is_rejected_too(
    kvorum: Kvorum, store: StoreDouble, file: Path
) -> None:
    file.write_text(json_lines(many(3)))
    store.script(refuse_items(1, code="invalid_value"))
    result = kvorum("import", file)
    assert result.exit_code == ExitCode.REFUSED
    assert result.stderr.startswith("line 2: ")


def test_wrong_lines_are_told_in_order_whoever_finds_them(
    kvorum: Kvorum, store: StoreDouble, file: Path
) -> None:
    first, last = json_lines(many(BATCH_ITEMS + 2)).splitlines()[:2], json_lines({"z": 1})
    middle = json_lines({f"m{n}": n for n in range(BATCH_ITEMS)})
    file.write_text(
        "\n".join(["nonsense", *first, "nonsense"]) + "\n" + middle + "nonsense\n" + last
    )
    store.script(refuse_items(0, code="invalid_value"))
    result = kvorum("import", file, "-o", "json")
    told = [json.loads(line)["line"] for line in result.stderr.splitlines()]
    assert told == [1, 2, 4, BATCH_ITEMS + 5]


@pytest.mark.parametrize("words", [["--key-column", "id"], ["--key-column", "key"], ["--typed"]])
def test_what_is_for_csv_is_refused_for_json_lines(
    kvorum: Kvorum, store: StoreDouble, file: Path, words: list[str]
) -> None:
    file.write_text(json_lines(many(3)))
    result = kvorum("import", file, *words)
    assert result.exit_code == ExitCode.USAGE
    assert f"{words[0]} is for CSV" in result.stderr
    assert store.values() == {}


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1"])
def test_patience_is_a_number_of_seconds(kvorum: Kvorum, file: Path, seconds: str) -> None:
    result = kvorum("import", file, "--give-up-after", seconds)
    assert result.exit_code == ExitCode.USAGE
    assert "0 seconds or more" in result.stderr


def test_too_many_wrong_lines_end_it(kvorum: Kvorum, store: StoreDouble, file: Path) -> None:
    file.write_text("nonsense\n" * 5)
    assert "More than 4 lines" in kvorum("import", file, "--max-rejected", "4").stderr
    assert kvorum("import", file, "--max-rejected", "4").exit_code == ExitCode.REFUSED
    assert "More than" not in kvorum("import", file, "--max-rejected", "5").stderr


def test_an_import_ends_after_a_hundred_wrong_lines_unless_told_otherwise(
    kvorum: Kvorum, store: StoreDouble, file: Path
) -> None:
    file.write_text(json_lines(many(7)) + "nonsense\n" * 101)
    ended = kvorum("import", file)
    assert ended.exit_code == ExitCode.REFUSED
    assert "More than 100 lines were rejected" in ended.stderr
    assert "7 entries were stored before" in ended.stderr
    assert "--max-rejected all" in ended.stderr
    assert store.values() == many(7)
    error = json.loads(kvorum("import", file, "-o", "json").stderr.splitlines()[-1])["error"]
    assert (error["code"], error["stored"]) == ("too_many_rejected", 7)
    whole = kvorum("import", file, "--max-rejected", "all", "-o", "json")
    assert whole.exit_code == ExitCode.REFUSED
    assert json.loads(whole.stdout)["rejected"] == 101


@pytest.mark.parametrize("count", ["-1", "some", "", "1.5", "All"])
def test_what_is_no_number_of_lines_is_misuse(
    kvorum: Kvorum, store: StoreDouble, file: Path, count: str
) -> None:
    file.write_text(json_lines(many(3)))
    result = kvorum("import", file, "--max-rejected", count)
    assert result.exit_code == ExitCode.USAGE
    assert "is not a whole number of 0 or more, and not 'all'" in result.stderr
    assert store.requests == []


BINARY = {
    "gzip": (gzip.compress(b'{"key": "a", "value": 1}\n'), "'zcat {file} | kvorum import -'"),
    "zip": (b"PK\x03\x04rest", "'unzip -p {file} | kvorum import -'"),
    "Excel": (b"PK\x03\x04\0\0[Content_Types].xml", "Save it as CSV"),
    "OpenDocument": (b"PK\x03\x04mimetypeapplication/vnd.oasis.opendocument.spreadsheet", "CSV"),
    "Parquet": (b"PAR1\x15\x04", "Convert it to JSON Lines or CSV"),
    "xz": (lzma.compress(b"text"), "'xzcat {file} | kvorum import -'"),
    "bzip2": (bz2.compress(b"text"), "'bzcat {file} | kvorum import -'"),
    "SQLite": (b"SQLite format 3\0", "Convert it"),
    "UTF-16": (
        "key,value\n".encode("utf-16"),
        "'iconv -f UTF-16 -t UTF-8 {file} | kvorum import -'",
    ),
    "is not text: its byte 3 is 0x00": (b"ab\0", "--max-rejected all"),
    "is not UTF-8 text: its byte 2 is 0xe4": (b"K\xe4se\n", "iconv -f LATIN1"),
}


@pytest.mark.parametrize("said", BINARY)
@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_file_that_is_no_text_is_refused_before_anything_is_done(
    kvorum: Kvorum, store: StoreDouble, file: Path, said: str, checkpoint: bool
) -> None:
    data, advice = BINARY[said]
    file.write_bytes(data)
    if checkpoint:
        checkpoint_of(file).write_text("of an earlier import")
    result = kvorum("import", file)
    assert result.exit_code == ExitCode.CONFIG
    assert said in result.stderr
    assert "Nothing was imported" in result.stderr
    assert advice.format(file=file) in result.stderr
    assert result.stderr.count("\n") == 1
    assert store.requests == []
    assert checkpoint_of(file).exists() is checkpoint
    piped = kvorum("import", "-", "--format", "csv", stdin=data)
    assert piped.exit_code == ExitCode.CONFIG
    assert "error: The input is" in piped.stderr
    assert store.requests == []


def test_how_to_unpack_names_the_format_that_the_name_tells(kvorum: Kvorum, tmp_path: Path) -> None:
    file = tmp_path / "all cities.csv.gz"
    file.write_bytes(gzip.compress(b"key,value\n"))
    error = kvorum("import", file).stderr
    assert f"zcat '{file}' | kvorum import - --format csv'" in error


def test_the_sound_lines_of_a_file_with_some_other_bytes_are_imported_if_that_is_wanted(
    kvorum: Kvorum, store: StoreDouble, file: Path
) -> None:
    file.write_bytes(b'{"key": "a", "value": 1}\n\xff\0\n{"key": "b", "value": 2}\n')
    result = kvorum("import", file, "--max-rejected", "all")
    assert result.exit_code == ExitCode.REFUSED
    assert store.values() == {"a": 1, "b": 2}


def test_a_character_that_the_first_block_cuts_is_no_wrong_one(
    kvorum: Kvorum, store: StoreDouble, file: Path
) -> None:
    pairs = {f"ключ{n}": "значение" for n in range(1000)}
    lines = (json.dumps({"key": k, "value": v}, ensure_ascii=False) for k, v in pairs.items())
    file.write_text(" " + "\n".join(lines))
    assert kvorum("import", file).exit_code == 0
    assert store.values() == pairs


def test_of_two_lines_of_one_key_the_later_stays(
    kvorum: Kvorum, store: StoreDouble, file: Path
) -> None:
    pairs = [(f"k{n % 7}", n) for n in range(100)]
    file.write_text("".join(json_lines({key: value}) for key, value in pairs))
    assert kvorum("import", file).exit_code == 0
    assert store.values() == {f"k{n % 7}": n for n in range(93, 100)}


def test_failures_and_unknown_outcomes_are_sent_again(
    kvorum: Kvorum, store: StoreDouble, file: Path
) -> None:
    pairs = many(2 * BATCH_ITEMS)
    file.write_text(json_lines(pairs))
    store.script(
        hang_up(),
        refuse_items(*range(10), code="quorum_not_met", outcome="unknown"),
        answer(problem(503, "overloaded")),
        refuse_items(3, code="storage_failed"),
    )
    result = kvorum("import", file)
    assert (result.exit_code, result.stderr) == (0, "")
    assert store.values() == pairs


def test_what_is_wrong_with_all_of_it_ends_it(
    kvorum: Kvorum, store: StoreDouble, file: Path
) -> None:
    file.write_text(json_lines(many(3)))
    store.script(answer(problem(404, "namespace_not_found", detail="no")))
    result = kvorum("import", file)
    assert (result.exit_code, result.stderr) == (ExitCode.NOT_FOUND, "error: no\n")


def test_nobody_there_is_told_at_once(store: StoreDouble, file: Path, kvorum: Kvorum) -> None:
    file.write_text(json_lines(many(3)))
    store.stop()
    result = kvorum("import", file, "--give-up-after", "1000")
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert not checkpoint_of(file).exists()


def test_what_is_given_up_is_taken_up_again(kvorum: Kvorum, store: StoreDouble, file: Path) -> None:
    pairs = many(3 * BATCH_ITEMS)
    file.write_text("nonsense\n" + json_lines(pairs))
    store.broken = {"k0"}
    first = kvorum("import", file, "--give-up-after", "0")
    assert first.exit_code == ExitCode.UNAVAILABLE
    assert not checkpoint_of(file).exists()

    store.broken = {f"k{BATCH_ITEMS + 10}"}
    second = kvorum("import", file, "--give-up-after", "1")
    assert second.exit_code == ExitCode.UNAVAILABLE
    assert f"{BATCH_ITEMS} lines are done, and --resume goes on behind them" in second.stderr
    assert checkpoint_of(file).exists()

    store.broken = set()
    store.requests.clear()
    third = kvorum("import", file, "--resume", "-o", "json")
    assert third.exit_code == ExitCode.REFUSED
    assert json.loads(third.stdout).items() >= {"stored": len(pairs), "rejected": 1}.items()
    assert store.values() == pairs
    sent = sum(len(seen.json()["entries"]) for seen in store.requests if seen.body)
    assert sent == len(pairs) - (BATCH_ITEMS - 1)
    assert not checkpoint_of(file).exists()


def give_up(kvorum: Kvorum, store: StoreDouble, file: Path, *words: str) -> None:
    """An import of `file` that leaves its checkpoint behind the first batch."""
    store.broken = {f"k{BATCH_ITEMS}"}
    assert kvorum("import", file, *words, "--give-up-after", "0.2").exit_code != 0
    store.broken = set()


def test_csv_is_taken_up_again_too(kvorum: Kvorum, store: StoreDouble, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    rows = [f'k{n},"a\n{n}"\n' for n in range(2 * BATCH_ITEMS)]
    file.write_text("key,value\n" + "".join(rows))
    give_up(kvorum, store, file)
    assert kvorum("import", file, "--resume").exit_code == 0
    assert store.values() == {f"k{n}": f"a\n{n}" for n in range(2 * BATCH_ITEMS)}


def test_the_checkpoint_can_be_elsewhere(
    kvorum: Kvorum, store: StoreDouble, file: Path, tmp_path: Path
) -> None:
    file.write_text(json_lines(many(2 * BATCH_ITEMS)))
    elsewhere = tmp_path / "notes" / "here"
    elsewhere.parent.mkdir()
    give_up(kvorum, store, file, "--checkpoint", str(elsewhere))
    assert elsewhere.exists()
    assert not checkpoint_of(file).exists()
    assert kvorum("import", file, "--resume", "--checkpoint", elsewhere).exit_code == 0
    assert not elsewhere.exists()


def test_without_resume_it_starts_anew_and_says_so(
    kvorum: Kvorum, store: StoreDouble, file: Path
) -> None:
    pairs = many(2 * BATCH_ITEMS)
    file.write_text(json_lines(pairs))
    give_up(kvorum, store, file)
    store.held.clear()
    result = kvorum("import", file)
    assert result.exit_code == 0
    assert "--resume" in result.stderr
    assert store.values() == pairs


def test_a_checkpoint_is_for_one_file_and_one_namespace(
    kvorum: Kvorum, store: StoreDouble, file: Path
) -> None:
    data = json_lines(many(2 * BATCH_ITEMS))
    file.write_text(data)
    give_up(kvorum, store, file)
    file.write_text(data.replace('"n": 3}', '"n": 4}'))
    changed = kvorum("import", file, "--resume")
    assert changed.exit_code == ExitCode.CONFIG
    assert f"has changed since: {BATCH_ITEMS} lines were done" in changed.stderr
    file.write_text(data)
    elsewhere = kvorum("import", file, "--resume", "--namespace", "other")
    assert elsewhere.exit_code == ExitCode.CONFIG
    assert "namespace" in elsewhere.stderr
    file.write_text(data + json_lines({"more": 1}))
    assert kvorum("import", file, "--resume").exit_code == 0
    assert store.value("more") == 1


def test_sigterm_is_heard_where_sigint_is_ignored(store: StoreDouble, file: Path) -> None:
    """As in a job that a script starts in the background."""
    file.write_text(json_lines(many(2 * BATCH_ITEMS)))
    store.documents["/status"] = {}
    store.broken = {f"k{BATCH_ITEMS}"}
    words = f"{sys.executable} -m kvorum import {file} --server {store.address}"
    command = ["bash", "-c", f"trap '' INT; exec {words}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        wait_until(checkpoint_of(file).exists)
        running.send_signal(signal.SIGTERM)
        assert running.stderr is not None
        told = running.stderr.read()
    assert running.returncode == ExitCode.INTERRUPTED
    assert "--resume goes on behind them" in told


def test_resume_needs_something_to_resume(kvorum: Kvorum, file: Path) -> None:
    file.write_text(json_lines(many(1)))
    none = kvorum("import", file, "--resume")
    assert none.exit_code == ExitCode.CONFIG
    assert "leave out --resume" in none.stderr
    checkpoint_of(file).write_text("nonsense")
    assert kvorum("import", file, "--resume").exit_code == ExitCode.CONFIG
    assert kvorum("import", "-", "--resume", stdin=b"").exit_code == ExitCode.USAGE
    assert kvorum("import", "-", "--checkpoint", "x", stdin=b"").exit_code == ExitCode.USAGE


@pytest.mark.parametrize("name", ["none.jsonl", "."])
def test_a_file_that_cannot_be_read(kvorum: Kvorum, tmp_path: Path, name: str) -> None:
    result = kvorum("import", tmp_path / name)
    assert result.exit_code == ExitCode.CONFIG
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_import_can_be_taken_up(
    store: StoreDouble, file: Path, number: signal.Signals
) -> None:
    pairs = many(2 * BATCH_ITEMS)
    file.write_text(json_lines(pairs))
    store.documents["/status"] = {}
    store.broken = {f"k{BATCH_ITEMS}"}
    command = [sys.executable, "-m", "kvorum", "import", str(file), "--server", store.address]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        wait_until(lambda: len(store.held) == 2 * BATCH_ITEMS - 1)
        wait_until(checkpoint_of(file).exists)
        running.send_signal(number)
        assert running.stderr is not None
        told = running.stderr.read()
    assert running.returncode == ExitCode.INTERRUPTED
    assert told == (
        f"note: {BATCH_ITEMS} lines are done, and --resume goes on behind them\n"
        "error: interrupted\n"
    )
    store.broken = set()
    env = {"KVORUM_SERVER": store.address}
    assert CliRunner().invoke(main, ["import", str(file), "--resume"], env=env).exit_code == 0
    assert store.values() == pairs


def test_a_killed_import_has_kept_a_checkpoint(store: StoreDouble, file: Path) -> None:
    pairs = many(2 * BATCH_ITEMS)
    file.write_text(json_lines(pairs))
    store.documents["/status"] = {}
    store.broken = {f"k{BATCH_ITEMS}"}
    command = [sys.executable, "-m", "kvorum", "import", str(file), "--server", store.address]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as running:
        wait_until(checkpoint_of(file).exists)
        running.kill()
    store.broken = set()
    env = {"KVORUM_SERVER": store.address}
    assert CliRunner().invoke(main, ["import", str(file), "--resume"], env=env).exit_code == 0
    assert store.values() == pairs


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_siblings_are_restored(kvorum: Kvorum, store: StoreDouble, file: Path) -> None:
    store.put("k", 1, [2], "three")
    store.put("other", 4)
    before = [held.json for held in store.held["default", "k"]]
    assert kvorum("export", file).exit_code == 0
    store.held.clear()
    assert kvorum("import", file).exit_code == 0
    assert [bytes(held.json) for held in store.held["default", "k"]] == list(map(bytes, before))
    assert store.value("other") == 4
    assert kvorum("import", file).exit_code == 0
    assert len(store.held["default", "k"]) == 3


def test_export_and_import_are_each_others_reverse(
    kvorum: Kvorum, store: StoreDouble, file: Path
) -> None:
    for n in range(1500):
        store.put(f"k{n}\n\u2028ü", {"n": n, "s": "a\nb\u2028"})
    kvorum("set", "bytes", "--bytes", "--file", "-", stdin=bytes(range(256)))
    kvorum("set", "pretty", '{\n  "price": 1.50,\r\n  "n": 1E2\n}')
    before = {
        place: (bytes(held[-1].json), held[-1].encoding) for place, held in store.held.items()
    }
    result = kvorum("export", file, "-o", "json")
    assert json.loads(result.stdout).items() >= {"file": str(file), "entries": 1502}.items()
    assert len(file.read_bytes().splitlines()) == 1502
    store.held.clear()
    assert kvorum("import", file).exit_code == 0
    after = {place: (bytes(held[-1].json), held[-1].encoding) for place, held in store.held.items()}
    pretty = ("default", "pretty")
    assert after.pop(pretty) == (b'{   "price": 1.50,    "n": 1E2 }', None)
    before.pop(pretty)
    assert after == before


def test_export_to_stdout_is_nothing_but_lines(kvorum: Kvorum, store: StoreDouble) -> None:
    store.put("a", 1)
    store.put("b", 2, namespace="other")
    assert kvorum("export").stdout == '{"key": "a", "value": 1}\n'
    assert kvorum("export", "-", "--namespace", "other").stdout == '{"key": "b", "value": 2}\n'


def test_an_export_that_fails_leaves_the_file_as_it_was(
    kvorum: Kvorum, store: StoreDouble, file: Path
) -> None:
    file.write_text("precious")
    store.page_size = 1
    store.put("a", 1)
    store.put("b", 2)
    refusal = answer(problem(400, "bad_request", detail="no such cursor"))
    store.script(answer(store_page("a", 1, "1")), refusal)
    result = kvorum("export", file)
    assert (result.exit_code, result.stderr) == (ExitCode.USAGE, "error: no such cursor\n")
    assert file.read_text() == "precious"
    assert os.listdir(file.parent) == [file.name]


def store_page(key: str, value: Any, cursor: str) -> Reply:
    return Reply(200, {"entries": [{"key": key, "value": value, "metadata": {}}], "cursor": cursor})


def test_an_export_replaces_what_a_link_points_to(
    kvorum: Kvorum, store: StoreDouble, file: Path, tmp_path: Path
) -> None:
    store.put("a", 1)
    file.write_text("old")
    link = tmp_path / "link"
    link.symlink_to(file)
    assert kvorum("export", link).exit_code == 0
    assert link.is_symlink()
    assert file.read_text() == '{"key": "a", "value": 1}\n'


def test_an_export_can_go_to_a_device(kvorum: Kvorum, store: StoreDouble) -> None:
    store.put("a", 1)
    assert kvorum("export", "/dev/null").exit_code == 0
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    ("before", "after"), [(None, 0o600), (0o600, 0o600), (0o640, 0o640), (0o4644, 0o644)]
)
def test_an_export_is_read_by_nobody_who_could_not_before(
    kvorum: Kvorum, store: StoreDouble, file: Path, before: int | None, after: int
) -> None:
    store.put("a", 1)
    if before is not None:
        file.touch()
        file.chmod(before)
    assert kvorum("export", file).exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == after


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_an_export_to_stdout_by_name_goes_into_a_pipe(store: StoreDouble, name: str) -> None:
    store.put("a", 1)
    words = [sys.executable, "-m", "kvorum", "export", name, "--server", store.address]
    ended = subprocess.run(words, capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout == b'{"key": "a", "value": 1}\n'


def test_an_export_to_an_open_file_is_added_to_it(store: StoreDouble, file: Path) -> None:
    store.put("a", 1)
    file.write_text("before\n")
    with file.open("ab") as out:
        name = f"/dev/fd/{out.fileno()}"
        words = [sys.executable, "-m", "kvorum", "export", name, "--server", store.address]
        subprocess.run(words, pass_fds=[out.fileno()], timeout=60, check=True)
    assert file.read_text() == 'before\n{"key": "a", "value": 1}\n'


def test_an_export_goes_into_a_named_pipe(store: StoreDouble, tmp_path: Path) -> None:
    store.put("a", 1)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    words = [sys.executable, "-m", "kvorum", "export", str(pipe), "--server", store.address]
    with subprocess.Popen(words) as process:
        assert pipe.read_bytes() == b'{"key": "a", "value": 1}\n'
        assert process.wait(60) == 0
    assert pipe.is_fifo()


@pytest.mark.parametrize("where", ["none/file", "."])
def test_an_export_that_cannot_be_written(kvorum: Kvorum, tmp_path: Path, where: str) -> None:
    result = kvorum("export", tmp_path / where)
    assert result.exit_code == ExitCode.CONFIG
    assert f"{tmp_path / where} cannot be written" in result.stderr
