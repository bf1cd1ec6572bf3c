"""kvorum user, role and whoami: what they change, what they print, what is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kit.security import FakeSecurity
from kit.security_server import SecurityServer, serving

from kvorum.cli import main
from kvorum.cli.errors import ExitCode
from kvorum.model.permissions import Grant, Permission, Role
from kvorum.model.security_values import User

SECRET = "correct horse"


@pytest.fixture
def cluster() -> Iterator[SecurityServer]:
    with serving(FakeSecurity()) as cluster:
        yield cluster


def command(cluster: SecurityServer, *words: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, [*words, "--server", cluster.server], input=stdin)


def done(cluster: SecurityServer, *words: str, stdin: str | None = None) -> Result:
    result = command(cluster, *words, stdin=stdin)
    assert result.exit_code == 0, result.output
    assert SECRET not in result.output
    return result


def user(cluster: SecurityServer, name: str) -> User:
    found = cluster.security.shared.catalog.user(name)
    assert found is not None
    return found


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is typed, where a command asks for something hidden."""
    typed: list[str] = []

    def prompt(_text: str, **options: Any) -> str:
        assert options["hide_input"]
        assert options["err"]
        return typed.pop(0)

    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("click.prompt", prompt)
    monkeypatch.setattr("kvorum.cli.security.passwords.sys", type("S", (), {"stdin": Terminal()}))
    return typed


# Users


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_password_from_stdin(cluster: SecurityServer, end: str) -> None:
    words = ("user", "add", "bob", "--role", "reader", "--password-stdin")
    result = done(cluster, *words, stdin=SECRET + end)
    assert cluster.security.passwords.kept == [SECRET.encode()]
    assert user(cluster, "bob").grants == (Grant(role="reader"),)
    assert "user bob: reader" in result.stdout
    assert "n3 gets it when it is back" in result.stderr


def test_a_password_that_is_asked_for_twice(cluster: SecurityServer, terminal: list[str]) -> None:
    terminal += [SECRET, SECRET]
    done(cluster, "user", "add", "bob", "--role", "reader")
    assert cluster.security.passwords.kept == [SECRET.encode()]
    terminal += [SECRET, "another one"]
    result = command(cluster, "user", "passwd", "bob")
    assert result.exit_code == ExitCode.USAGE
    assert "differ" in result.stderr
    terminal += ["short"]
    assert command(cluster, "user", "passwd", "bob").exit_code == ExitCode.USAGE
    assert len(cluster.security.passwords.kept) == 1


def test_a_user_without_a_password(cluster: SecurityServer) -> None:
    done(cluster, "user", "add", "bill", "--role", "reader", "--no-password")
    assert user(cluster, "bill").password is None
    rows = done(cluster, "user", "list").stdout.splitlines()
    [row] = [line for line in rows if line.startswith("bill")]
    assert "certificate" in row


def test_another_password(cluster: SecurityServer) -> None:
    grants = user(cluster, "ann").grants
    done(cluster, "user", "passwd", "ann", "--password-stdin", stdin=SECRET)
    assert user(cluster, "ann").password is not None
    assert user(cluster, "ann").grants == grants
    result = command(cluster, "user", "passwd", "bob", "--password-stdin", stdin=SECRET)
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "'bob'" in result.stderr
    assert "--namespace" not in result.stderr


def test_more_roles_and_other_ones(cluster: SecurityServer) -> None:
    first = user(cluster, "ann").grants
    done(cluster, "user", "grant", "ann", "--role", "writer", "--namespace", "bills")
    assert user(cluster, "ann").grants == (*first, Grant(role="writer", namespace="bills"))
    done(cluster, "user", "grant", "ann", "--role", "writer", "--namespace", "bills")
    assert len(user(cluster, "ann").grants) == 2
    done(cluster, "user", "grant", "ann", "--role", "monitor", "--only")
    assert user(cluster, "ann").grants == (Grant(role="monitor"),)
    assert command(cluster, "user", "grant", "bob", "--role", "reader").exit_code == 1


def test_a_user_is_removed(cluster: SecurityServer) -> None:
    assert command(cluster, "user", "remove", "ann", stdin="n\n").exit_code == ExitCode.REFUSED
    assert cluster.security.shared.catalog.user("ann") is not None
    done(cluster, "user", "remove", "ann", "--yes")
    assert cluster.security.shared.catalog.user("ann") is None
    assert command(cluster, "user", "remove", "ann", "--yes").exit_code == ExitCode.NOT_FOUND


@pytest.mark.parametrize(
    ("words", "stdin", "code", "said"),
    [
        (("add", "ann", "--role", "reader"), SECRET, ExitCode.REFUSED, "'ann' already"),
        (("add", "bob"), SECRET, ExitCode.USAGE, "--role"),
        (("add", "bob", "--role", "king"), SECRET, ExitCode.USAGE, "No such role: 'king'"),
        (("add", "a b", "--role", "reader"), SECRET, ExitCode.USAGE, "no name"),
        (("add", "bob", "--role", "reader"), "1234567", ExitCode.USAGE, "8 characters"),
        (("add", "bob", "--role", "reader"), "", ExitCode.USAGE, "8 characters"),
        (("add", "bob", "--role", "reader"), "x" * 1025, ExitCode.USAGE, "1025 bytes"),
        (("add", "bob", "--role", "reader"), "x" * 9999, ExitCode.USAGE, "may have 1024"),
        (("add", "bob", "--role", "reader"), "one line\nand two", ExitCode.USAGE, "several lines"),
        (("add", "bob", "--role", "reader"), b"\xff" * 9, ExitCode.USAGE, "no UTF-8"),
        (("passwd", "ann"), "short", ExitCode.USAGE, "8 characters"),
    ],
)
def test_a_user_that_cannot_be(
    cluster: SecurityServer, words: tuple[str, ...], stdin: str | bytes, code: int, said: str
) -> None:
    result = command(cluster, "user", *words, "--password-stdin", stdin=stdin)
    assert result.exit_code == code, result.output
    assert said in result.stderr
    assert SECRET not in result.output
    assert cluster.security.shared.changed == []


def test_where_nobody_can_be_asked_for_a_password(cluster: SecurityServer) -> None:
    result = command(cluster, "user", "add", "bob", "--role", "reader")
    assert result.exit_code == ExitCode.USAGE
    assert "--password-stdin" in result.stderr
    both = ("--password-stdin", "--no-password")
    result = command(cluster, "user", "add", "bob", "--role", "reader", *both, stdin=SECRET)
    assert result.exit_code == ExitCode.USAGE
    assert "--password" not in {word for word in sys.argv if word.startswith("--password=")}


# Roles


def test_a_role_is_made_replaced_and_removed(cluster: SecurityServer) -> None:
    words = ("role", "create", "browser", "--allow", "read,list", "--namespace", "orders")
    done(cluster, *words, "--prefix", "a/")
    found = cluster.security.shared.catalog.role("browser")
    assert found == Role(
        name="browser",
        permissions=(Permission.READ, Permission.LIST),
        namespace="orders",
        prefix="a/",
    )
    assert "read, list" in done(cluster, "role", "list").stdout
    again = command(cluster, "role", "create", "browser", "--allow", "list")
    assert again.exit_code == ExitCode.REFUSED
    done(cluster, "role", "create", "browser", "--allow", "list", "--allow", "status", "--replace")
    found = cluster.security.shared.catalog.role("browser")
    assert found == Role(name="browser", permissions=(Permission.LIST, Permission.STATUS))
    done(cluster, "role", "remove", "browser", "--yes")
    assert cluster.security.shared.catalog.role("browser") is None


def test_the_built_in_roles_are_listed(cluster: SecurityServer) -> None:
    roles = json.loads(done(cluster, "role", "list", "-o", "json").stdout)["roles"]
    assert [one["name"] for one in roles if one["built_in"]] == [
        "reader",
        "writer",
        "monitor",
        "operator",
        "admin",
    ]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("create", "x", "--allow", "fly"), ExitCode.USAGE, "read, write, delete, list, status"),
        (("create", "x", "--allow", ""), ExitCode.USAGE, "no permission ''"),
        (("create", "x"), ExitCode.USAGE, "--allow"),
        (("create", "admin", "--allow", "read"), ExitCode.USAGE, "built in"),
        (("create", "x", "--allow", "status", "--prefix", "p"), ExitCode.USAGE, "prefix"),
        (("remove", "admin", "--yes"), ExitCode.USAGE, "built in"),
        (("remove", "nobody", "--yes"), ExitCode.NOT_FOUND, "'nobody'"),
        (("remove", "clerk"), ExitCode.REFUSED, "Nothing was changed"),
    ],
)
def test_a_role_that_cannot_be(
    cluster: SecurityServer, words: tuple[str, ...], code: int, said: str
) -> None:
    result = command(cluster, "role", *words)
    assert result.exit_code == code, result.output
    assert said in result.stderr
    assert cluster.security.shared.changed == []


def test_a_role_that_somebody_has_stays(cluster: SecurityServer) -> None:
    done(cluster, "user", "grant", "ann", "--role", "clerk")
    result = command(cluster, "role", "remove", "clerk", "--yes")
    assert result.exit_code == ExitCode.USAGE
    assert "The user 'ann' has the role 'clerk'" in result.stderr


# Whoever asks


def test_who_one_is(cluster: SecurityServer) -> None:
    shown = done(cluster, "whoami").stdout
    assert "reader in orders for 2026/*" in shown
    document = json.loads(done(cluster, "whoami", "-o", "json").stdout)
    assert document["grants"] == [{"role": "reader", "namespace": "orders", "prefix": "2026/"}]


def test_in_an_open_cluster_everybody_may_do_everything() -> None:
    with serving(None) as cluster:
        result = done(cluster, "whoami")
        assert "everything" in result.stdout
        assert "authenticates nobody" in result.stderr
        assert command(cluster, "user", "list").exit_code == ExitCode.USAGE
