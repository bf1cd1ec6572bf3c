"""kvorum token: what is printed where, and what is refused."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kit.security import ADMIN_ID, NOW_MS, TOKEN_ID, FakeSecurity
from kit.security_server import SecurityServer, serving

from kvorum.cli import main
from kvorum.cli.errors import ExitCode
from kvorum.model.errors import StorageError
from kvorum.model.security_values import Token
from kvorum.service.tokens import digest_of


@pytest.fixture
def cluster() -> Iterator[SecurityServer]:
    with serving(FakeSecurity()) as cluster:
        yield cluster


def command(cluster: SecurityServer, *words: str | Path, stdin: str | None = None) -> Result:
    given = [*map(str, words), "--server", cluster.server]
    return CliRunner().invoke(main, ["token", *given], input=stdin)


def done(cluster: SecurityServer, *words: str | Path) -> Result:
    result = command(cluster, *words)
    assert result.exit_code == 0, result.output
    return result


def refused(cluster: SecurityServer, code: int, *words: str | Path) -> str:
    """The one line on stderr; nothing was changed, and nothing is on stdout."""
    result = command(cluster, *words)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    assert cluster.security.shared.changed == []
    return result.stderr


def kept(cluster: SecurityServer, name: str) -> Token:
    found = cluster.security.shared.catalog.values("token")
    [token] = [one for one in found if isinstance(one, Token) and one.name == name]
    return token


def test_stdout_has_the_token_alone(cluster: SecurityServer) -> None:
    words = ("--role", "writer", "--namespace", "orders", "--prefix", "2026/", "--expires", "90d")
    result = done(cluster, "create", "till", *words)
    text = result.stdout.rstrip("\n")
    token = kept(cluster, "till")
    assert digest_of(text.encode()) == token.digest
    assert token.expires_ms == NOW_MS + 90 * 86_400_000
    [grant] = token.grants
    assert (grant.role, grant.namespace, grant.prefix) == ("writer", "orders", "2026/")
    assert text not in result.stderr
    assert "writer in orders for 2026/*" in result.stderr
    assert "in effect on n1 and n2" in result.stderr
    assert "n3 gets it when it is back" in result.stderr
    assert "KVORUM_TOKEN_FILE" in result.stderr


def test_several_roles_and_limits(cluster: SecurityServer) -> None:
    limits = ("--limit-requests", "100", "--limit-bytes", "1MB", "--limit-connections", "5")
    done(cluster, "create", "till", "--role", "reader", "--role", "monitor", *limits)
    token = kept(cluster, "till")
    assert [grant.role for grant in token.grants] == ["reader", "monitor"]
    assert token.limits.bytes_per_s == 1_000_000
    shown = done(cluster, "list").stdout
    assert "100 requests/s, 1 MB/s, 5 connections" in shown
    assert "reader, monitor" in shown


def test_for_programs_it_is_json(cluster: SecurityServer) -> None:
    result = done(cluster, "create", "till", "--role", "reader", "-o", "json")
    document = json.loads(result.stdout)
    assert digest_of(document["token"].encode()) == kept(cluster, "till").digest
    assert document["not_yet"] == ["n3"]
    assert document["token"] not in result.stderr
    listed = json.loads(done(cluster, "list", "-o", "json").stdout)["tokens"]
    assert {one["name"] for one in listed} == {"admin", "shop", "till"}
    assert all("token" not in one and "digest" not in one for one in listed)


def test_a_file_that_only_its_owner_may_read(cluster: SecurityServer, tmp_path: Path) -> None:
    file = tmp_path / "till.token"
    old = os.umask(0)
    try:
        result = done(cluster, "create", "till", "--role", "reader", "--to", file)
    finally:
        os.umask(old)
    text = file.read_text()
    assert text.endswith("\n")
    assert digest_of(text.strip().encode()) == kept(cluster, "till").digest
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert text.strip() not in result.output
    assert str(file) in result.stderr
    other = tmp_path / "other.token"
    shown = done(cluster, "create", "other", "--role", "reader", "--to", other, "-o", "json")
    assert json.loads(shown.stdout)["token"] is None
    assert other.read_text().strip() not in shown.output


def test_a_file_that_cannot_be_written_gets_no_token(
    cluster: SecurityServer, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    there.write_text("mine")
    words = ("create", "x", "--role", "reader", "--to")
    assert "already" in refused(cluster, ExitCode.CONFIG, *words, there)
    assert there.read_text() == "mine"
    assert "cannot be made" in refused(cluster, ExitCode.CONFIG, *words, tmp_path / "no" / "file")


def test_no_file_is_left_where_no_token_was_made(cluster: SecurityServer, tmp_path: Path) -> None:
    file = tmp_path / "x.token"
    refused(cluster, ExitCode.USAGE, "create", "x", "--role", "king", "--to", file)
    assert not file.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk here")
def test_a_token_that_cannot_be_written_down_is_revoked(
    cluster: SecurityServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def full(path: Any, flags: int, mode: int = 0o777) -> int:
        if str(path).endswith("x.token"):
            real(path, flags, mode)
            return real("/dev/full", os.O_WRONLY)
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", full)
    result = command(cluster, "create", "x", "--role", "reader", "--to", tmp_path / "x.token")
    assert result.exit_code == ExitCode.CONFIG
    assert "It was revoked" in result.stderr
    names = [
        one.name for one in cluster.security.shared.catalog.values("token") if hasattr(one, "id")
    ]
    assert sorted(names) == ["admin", "shop"]
    assert not (tmp_path / "x.token").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("create", "x"), ExitCode.USAGE, "Missing option '--role'"),
        (("create", "x", "--role", "king"), ExitCode.USAGE, "reader, writer, monitor, operator"),
        (("create", "a b", "--role", "reader"), ExitCode.USAGE, "'a b' is no name"),
        (("create", "x", "--role", "reader", "--expires", "0"), ExitCode.USAGE, "no lifetime"),
        (("create", "x", "--role", "reader", "--expires", "soon"), ExitCode.USAGE, "'soon'"),
        (("create", "x", "--role", "reader", "--expires", "3651d"), ExitCode.USAGE, "3650d"),
        (("create", "x", "--role", "reader", "--expires", "-1"), ExitCode.USAGE, "'-1'"),
        (("create", "x", "--role", "reader", "--prefix", "p" * 1025), ExitCode.USAGE, "1025"),
        (("create", "x", "--role", "reader", "--namespace", "a b"), ExitCode.USAGE, "'a b'"),
        (("create", "x", "--role", "clerk", "--namespace", "b"), ExitCode.USAGE, "allows nothing"),
        (("create", "x", "--role", "reader", "--limit-bytes", "lots"), ExitCode.CONFIG, "lots"),
        (("create", "x", "--role", "reader", "--limit-requests", "-1"), ExitCode.USAGE, "-1"),
        (("create", "x", "--role", "reader", "--to", ""), ExitCode.USAGE, "empty"),
        (("revoke", "nobody", "--yes"), ExitCode.NOT_FOUND, "'nobody'"),
        (("revoke", ADMIN_ID, "--yes"), ExitCode.USAGE, "last administrator"),
        (("revoke", TOKEN_ID), ExitCode.REFUSED, "Nothing was changed"),
    ],
)
def test_what_cannot_be_is_refused(
    cluster: SecurityServer, words: tuple[str, ...], code: int, said: str
) -> None:
    result = command(cluster, *words)
    assert result.exit_code == code, result.output
    assert said in result.stderr
    assert "HTTP" not in result.stderr
    assert "GET /" not in result.stderr
    assert cluster.security.shared.changed == []
    assert "kvt_" not in result.output


def test_what_may_have_been_done_is_looked_at_first(cluster: SecurityServer) -> None:
    cluster.security.shared.error = StorageError("The disk is full.", outcome="unknown")
    result = command(cluster, "create", "x", "--role", "reader")
    assert result.exit_code == ExitCode.UNKNOWN
    assert "kvorum token list" in result.stderr
    assert "kvt_" not in result.output


def test_a_token_is_revoked_by_its_id_or_name(cluster: SecurityServer) -> None:
    result = done(cluster, "revoke", "shop", "--yes")
    assert f"token shop ({TOKEN_ID}) revoked" in result.stdout
    assert "n3 gets it when it is back" in result.stderr
    assert cluster.security.shared.catalog.token(TOKEN_ID) is None
    done(cluster, "create", "till", "--role", "reader")
    done(cluster, "revoke", kept(cluster, "till").id, "--yes")


def test_a_name_that_several_have_is_refused_with_the_ids(cluster: SecurityServer) -> None:
    done(cluster, "create", "shop", "--role", "reader")
    cluster.security.shared.changed.clear()
    said = refused(cluster, ExitCode.USAGE, "revoke", "shop", "--yes")
    assert TOKEN_ID in said
    assert "Give the id" in said


def test_it_asks_first(cluster: SecurityServer) -> None:
    assert command(cluster, "revoke", "shop", stdin="n\n").exit_code == ExitCode.REFUSED
    assert cluster.security.shared.changed == []
    assert command(cluster, "revoke", "shop", stdin="y\n").exit_code == 0


def test_a_token_that_has_expired_is_shown_so(cluster: SecurityServer) -> None:
    cluster.security.now_ms = 1_000_000
    done(cluster, "create", "old", "--role", "reader", "--expires", "1s")
    shown = done(cluster, "list").stdout.splitlines()
    [row] = [line for line in shown if " old " in line]
    assert "expired" in row
    [row] = [line for line in shown if " admin " in line]
    assert "at the start" in row
    assert "never" in row


def test_a_cluster_that_authenticates_nobody() -> None:
    with serving(None) as cluster:
        result = command(cluster, "list")
        assert result.exit_code == ExitCode.USAGE
        assert "authenticates nobody" in result.stderr
        assert "kvorum up --secure" in result.stderr
