"""Exports with versions, and exports under a key: what comes back is what went out."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kit.program import kvorum

import kvorum as client_library
from kvorum.cli import main
from kvorum.cli.errors import ExitCode


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Two clusters of one node each; the first has entries."""
    ports = [free_port(), free_port()]
    with (
        kvorum("serve", "--data-dir", tmp_path / "a", "--port", ports[0]) as one,
        kvorum("serve", "--data-dir", tmp_path / "b", "--port", ports[1]) as two,
    ):
        one.line()
        two.line()
        first, second = (f"127.0.0.1:{port}" for port in ports)
        with client_library.connect(f"kvorum://{first}") as store:
            store.set_many({f"key {i}": i for i in range(1200)})
            store.set("bytes", b"\x00\xff")
            version = store.set("siblings", 0).version
            store.set("siblings", 1, version=version)
            store.set("siblings", 2, version=version)
        yield first, second


@pytest.fixture
def key(tmp_path: Path) -> str:
    file = tmp_path / "export.key"
    file.write_text("ab" * 32)
    file.chmod(0o600)
    return f"file:{file}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def command(*words: str | Path, input: bytes | None = None) -> Result:  # noqa: A002
    return CliRunner().invoke(main, list(map(str, words)), input=input)


def entries(server: str) -> dict[str, Any]:
    with client_library.connect(f"kvorum://{server}") as store:
        return {entry.key: (entry.value, entry.clock) for entry in store.scan()}


def test_versions_go_along(servers: tuple[str, str], tmp_path: Path) -> None:
    first, second = servers
    file = tmp_path / "records.jsonl"
    exported = command("export", "--versions", file, "--server", first, "-o", "json")
    assert json.loads(exported.stdout)["entries"] == 1202
    for _ in range(2):  # twice does no harm
        imported = command("import", "--keep-versions", file, "--server", second, "-o", "json")
        assert imported.exit_code == 0, imported.output
        assert json.loads(imported.stdout)["stored"] == 1202
    one, two = entries(first), entries(second)
    assert {key: value for key, (value, _) in one.items()} == {
        key: value for key, (value, _) in two.items()
    }
    assert [[event.counter for event in clock] for _, clock in one.values()] == [
        [event.counter for event in clock] for _, clock in two.values()
    ]
    with client_library.connect(f"kvorum://{second}") as store:
        assert {one.value for one in store.get_entry("siblings").siblings} == {1, 2}


def test_what_is_there_is_merged_and_not_replaced(servers: tuple[str, str], tmp_path: Path) -> None:
    first, second = servers
    file = tmp_path / "records.jsonl"
    command("export", "--versions", file, "--server", first)
    command("import", "--keep-versions", file, "--server", second)
    with client_library.connect(f"kvorum://{second}") as store:
        store.set("key 1", "newer")
        store.delete("key 2")
    command("import", "--keep-versions", file, "--server", second)
    with client_library.connect(f"kvorum://{second}") as store:
        assert store.get("key 1") == "newer"
        assert store.get("key 2") is None


def test_damaged_lines_are_rejected_and_the_rest_goes_in(
    servers: tuple[str, str], tmp_path: Path
) -> None:
    first, second = servers
    file = tmp_path / "records.jsonl"
    command("export", "--versions", file, "--server", first)
    lines = file.read_bytes().splitlines(keepends=True)
    damaged = json.loads(lines[1])
    damaged["key"] = "another"
    lines[1] = json.dumps(damaged).encode() + b"\n"
    lines[2] = b"{}\n"
    file.write_bytes(b"".join(lines))
    imported = command("import", "--keep-versions", file, "--server", second, "-o", "json")
    assert imported.exit_code == ExitCode.REFUSED
    summary = json.loads(imported.stdout)
    assert (summary["stored"], summary["rejected"]) == (1200, 2)
    assert "another key" in imported.stderr
    few = command("import", "--keep-versions", file, "--server", second, "--max-rejected", "1")
    assert few.exit_code == ExitCode.REFUSED
    assert "More than 1 lines" in few.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "export --versions"),
        (b'{"key":"a","value":1}\n', "export --versions"),
        (b'{"kvorum":"records","format":2}\n', "later kvorum"),
    ],
)
def test_what_is_no_such_file(tmp_path: Path, text: bytes, said: str) -> None:
    file = tmp_path / "records.jsonl"
    file.write_bytes(text)
    from kvorum.cli.bulk.items import START
    from kvorum.cli.entries.record_lines import read
    from kvorum.model.errors import ConfigError

    with file.open("rb") as stream, pytest.raises(ConfigError, match=said):
        list(read(stream, None, START))


@pytest.mark.parametrize("versions", [True, False])
def test_under_a_key(servers: tuple[str, str], tmp_path: Path, key: str, versions: bool) -> None:
    first, second = servers
    file = tmp_path / "sealed"
    extra = ["--versions"] if versions else []
    exported = command("export", *extra, "--encrypt", "--key", key, file, "--server", first)
    assert exported.exit_code == 0, exported.output
    assert b"key 1" not in file.read_bytes()
    keep = ["--keep-versions"] if versions else []
    without = command("import", *keep, file, "--server", second)
    assert without.exit_code == ExitCode.CONFIG
    assert "--key" in without.stderr
    imported = command("import", *keep, "--key", key, file, "--server", second, "-o", "json")
    assert imported.exit_code == 0, imported.output
    assert json.loads(imported.stdout)["stored"] == 1202
    assert len(entries(second)) == 1202


def test_through_a_pipe(servers: tuple[str, str], key: str) -> None:
    first, second = servers
    exported = command("export", "--encrypt", "--key", key, "--server", first)
    assert exported.exit_code == 0
    words = ["import", "--key", key, "-", "--server", second, "-o", "json"]
    imported = command(*words, input=exported.stdout_bytes)
    assert imported.exit_code == 0, imported.output
    assert json.loads(imported.stdout)["stored"] == 1202


def test_a_sealed_export_that_is_cut_short_says_so(
    servers: tuple[str, str], tmp_path: Path, key: str
) -> None:
    first, second = servers
    file = tmp_path / "sealed"
    command("export", "--encrypt", "--key", key, file, "--server", first)
    file.write_bytes(file.read_bytes()[:-10])
    imported = command("import", "--key", key, file, "--server", second)
    assert imported.exit_code == ExitCode.CONFIG
    assert "cut short" in imported.stderr


def test_options_that_do_not_go_together(tmp_path: Path, key: str) -> None:
    file = tmp_path / "open.jsonl"
    file.write_text('{"key":"a","value":1}\n')
    for words in (
        ["export", "--encrypt"],
        ["export", "--key", key],
        ["import", file, "--key", key],
        ["import", file, "--keep-versions", "--format", "csv"],
    ):
        result = command(*words, "--server", "127.0.0.1:1")
        assert result.exit_code in (ExitCode.USAGE, ExitCode.CONFIG), result.output
        assert "key" in result.stderr or "--keep-versions" in result.stderr


def test_records_are_not_taken_for_entries(servers: tuple[str, str], tmp_path: Path) -> None:
    first, second = servers
    file = tmp_path / "records.jsonl"
    command("export", "--versions", file, "--server", first)
    result = command("import", file, "--server", second)
    assert result.exit_code == ExitCode.CONFIG
    assert "add --keep-versions" in result.stderr
    assert result.stderr.count("\n") == 1
