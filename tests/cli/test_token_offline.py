"""kvorum token create --offline: the way back for whoever has lost every token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from kit.security import catalog_of

from kvorum.cli import main
from kvorum.cli.errors import ExitCode
from kvorum.model.security_catalog import SecurityCatalog
from kvorum.model.security_values import Token
from kvorum.service.tokens import digest_of
from kvorum.storage.directory import exclusive
from kvorum.storage.security_file import SecurityFile


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    directory = tmp_path / "n1"
    directory.mkdir()
    SecurityFile(directory).write(catalog_of())
    return directory


def create(data_dir: Path, *words: str | Path) -> Result:
    given = ["token", "create", "root", *map(str, words), "--offline", str(data_dir)]
    return CliRunner().invoke(main, given)


def catalog(data_dir: Path) -> SecurityCatalog:
    found = SecurityFile(data_dir).read()
    assert found is not None
    return found


def roots(data_dir: Path) -> list[Token]:
    tokens = catalog(data_dir).values("token")
    return [one for one in tokens if isinstance(one, Token) and one.name == "root"]


def test_a_token_is_added_to_the_files_of_a_stopped_node(data_dir: Path) -> None:
    result = create(data_dir, "--role", "admin", "--expires", "1d")
    assert result.exit_code == 0, result.output
    [token] = roots(data_dir)
    text = result.stdout.rstrip("\n")
    assert token.digest == digest_of(text.encode())
    assert token.expires_ms == token.created_ms + 86_400_000
    assert text not in result.stderr
    assert f"when the node in {data_dir} is started" in result.stderr
    before = catalog_of()
    merged, changed = before.merged(catalog(data_dir).entries.values())
    assert [one.name for one in changed] == [token.id]
    assert merged == catalog(data_dir)


def test_it_may_go_into_a_file(data_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "root.token"
    result = create(data_dir, "--role", "admin", "--to", file, "-o", "json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["token"] is None
    [token] = roots(data_dir)
    assert token.digest == digest_of(file.read_text().strip().encode())


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--role", "king"), ExitCode.USAGE, "No such role: 'king'"),
        (("--role", "admin", "--namespace", "a b"), ExitCode.USAGE, "'a b'"),
        ((), ExitCode.USAGE, "--role"),
    ],
)
def test_what_cannot_be_changes_nothing(
    data_dir: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    before = SecurityFile(data_dir).path.read_bytes()
    result = create(data_dir, *words)
    assert result.exit_code == code, result.output
    assert said in result.stderr
    assert SecurityFile(data_dir).path.read_bytes() == before


def test_the_node_may_not_run(data_dir: Path) -> None:
    with exclusive(data_dir):
        result = create(data_dir, "--role", "admin")
    assert result.exit_code == ExitCode.CONFIG
    assert str(data_dir) in result.stderr
    assert roots(data_dir) == []


def test_a_directory_of_no_secure_node(tmp_path: Path) -> None:
    result = create(tmp_path, "--role", "admin")
    assert result.exit_code == ExitCode.CONFIG
    assert "security.json" in result.stderr
    assert "kvorum serve --certs" in result.stderr
    missing = create(tmp_path / "no", "--role", "admin")
    assert missing.exit_code == ExitCode.USAGE
