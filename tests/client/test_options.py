"""The options of a client, in its URL and as keywords of `connect`."""

from __future__ import annotations

import asyncio
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kit.http_store import StoreDouble, answer, problem

import kvorum
import kvorum.aio
from kvorum.cli import main
from kvorum.client.environment import target_of
from kvorum.client.options import DEFAULTS, Keywords, Options
from kvorum.client.url import parse_url
from kvorum.model.errors import ConfigError, KvorumError, Overloaded

CONNECTS = [kvorum.connect, kvorum.aio.connect]

SECURE: list[tuple[str, str, Any]] = [
    ("ca", "/etc/ca.crt", Path("/etc/ca.crt")),
    ("cert", "me.crt", Path("me.crt")),
    ("key", "me.key", Path("me.key")),
    ("token", "", "kvt_x"),
    ("token_file", "/run/token", Path("/run/token")),
    ("user", "", "ada"),
    ("password", "", "s3cret"),
]
"""Of TLS and credentials, which are tested in test_secure_urls.py."""

GOOD: list[tuple[str, str, Any]] = [
    ("namespace", "shop", "shop"),
    ("timeout", "2.5", 2.5),
    ("r", "2", 2),
    ("w", "3", 3),
    ("quorum", "sloppy", "sloppy"),
    ("connections", "8", 8),
    ("retries", "0", 0),
    ("backoff", "0.1", 0.1),
    ("backoff_max", "3", 3.0),
    ("retry_unknown", "true", True),
    ("on_conflict", "raise", "raise"),
    ("serializer", "pickle", "pickle"),
]

BAD: list[tuple[str, Any, str]] = [
    ("namespace", "a/b", "No namespace can be called 'a/b'"),
    ("timeout", 0, "timeout is 0"),
    ("timeout", True, "timeout is True"),
    ("timeout", "soon", "timeout is 'soon'"),
    ("r", 0, "r is 0"),
    ("r", "two", "r is 'two'"),
    ("w", 1.5, "w is 1.5"),
    ("w", True, "w is True"),
    ("quorum", "weak", "quorum is 'weak'. Give strict or sloppy"),
    ("connections", 0, "connections is 0. Give a whole number from 1 to"),
    ("connections", "many", "connections is 'many'"),
    ("retries", -1, "retries is -1. Give a whole number from 0 to"),
    ("backoff", -0.1, "backoff is -0.1"),
    ("backoff", "nan", "backoff is "),
    ("backoff_max", "inf", "backoff_max is "),
    ("retry_unknown", "maybe", "retry_unknown is 'maybe'"),
    ("retry_unknown", 1, "retry_unknown is "),
    ("ca", "", "ca is ''. Give the name of a file"),
    ("ca", 5, "ca is 5"),
]


def test_every_option_is_both_a_keyword_and_a_part_of_the_url() -> None:
    names = [field.name for field in fields(Options)]
    tested = [name for name, _, _ in SECURE + GOOD]
    assert names == list(Keywords.__annotations__) == tested


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_an_option_means_the_same_in_the_url_and_as_a_keyword(
    name: str, text: str, value: Any
) -> None:
    from_url = parse_url(f"kvorum://a?{name}={text}")
    assert getattr(from_url, name) == value
    assert getattr(DEFAULTS, name) != value
    assert target_of("kvorum://a", {name: value}) == from_url


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_a_keyword_counts_for_more_than_the_url(name: str, text: str, value: Any) -> None:
    other = getattr(DEFAULTS, name)
    target = target_of(f"a?{name}={text}", {name: other})
    assert getattr(target, name) == (value if other is None else other)


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_a_bad_option_is_named_when_the_client_is_made(name: str, value: Any, message: str) -> None:
    for connect in CONNECTS:
        with pytest.raises(ConfigError, match=re.escape(message)):
            connect("a", **{name: value})
    if not (name == "retry_unknown" and value == 1) and value is not True and name != "ca":
        with pytest.raises(ConfigError, match=re.escape(message)):
            parse_url(f"kvorum://a?{name}={value}")


@pytest.mark.parametrize("connect", CONNECTS)
def test_an_unknown_option_is_refused_with_the_one_that_was_meant(connect: Any) -> None:
    with pytest.raises(ConfigError, match=r"no option 'timout'\. Did you mean timeout\?"):
        connect("a", timout=5)
    with pytest.raises(ConfigError, match=r"no option 'timout'\. Did you mean timeout\?"):
        connect("a?timout=5")


@pytest.mark.parametrize("connect", CONNECTS)
def test_no_password_is_sent_in_the_clear(connect: Any) -> None:
    with pytest.raises(ConfigError, match="user and password would be of no use") as caught:
        connect("kvorum://me:s3cret@a:7400")
    assert "s3cret" not in str(caught.value)


class TestWhere:
    """Where the cluster is can be said in each of these ways, in each of these places."""

    FORMS = ("{0}", "kvorum://{0}", "kvorum://{0}/", "{0},127.0.0.1:1", "{0}?timeout=5")

    @pytest.mark.parametrize("form", FORMS)
    def test_connect(self, store: StoreDouble, form: str) -> None:
        store.put("k", 1)
        with kvorum.connect(form.format(store.address)) as client:
            assert client.get("k") == 1

    @pytest.mark.parametrize("form", FORMS)
    def test_the_environment(
        self, store: StoreDouble, form: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.put("k", 1)
        monkeypatch.setenv("KVORUM_SERVER", form.format(store.address))
        with kvorum.connect() as client:
            assert client.get("k") == 1
        assert CliRunner().invoke(main, ["get", "k"]).stdout == "1\n"

    @pytest.mark.parametrize("form", FORMS)
    def test_a_command(self, store: StoreDouble, form: str) -> None:
        store.put("k", 1)
        words = ["get", "k", "--server", form.format(store.address)]
        assert CliRunner().invoke(main, words).stdout == "1\n"

    def test_a_host_alone_has_the_default_port(self) -> None:
        assert parse_url("a,[::1],b:7401") == parse_url("kvorum://a:7400,[::1]:7400,b:7401")

    def test_what_is_given_counts_for_more_than_the_environment(
        self, store: StoreDouble, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.put("k", 1)
        monkeypatch.setenv("KVORUM_SERVER", "not a server")
        with kvorum.connect(store.address) as client:
            assert client.get("k") == 1

    def test_a_bad_variable_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KVORUM_SERVER", "a:port")
        for connect in CONNECTS:
            with pytest.raises(ConfigError, match=r"^The variable KVORUM_SERVER: 'a:port' is no"):
                connect()

    def test_an_empty_variable_is_as_one_that_is_not_set(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KVORUM_SERVER", "")
        assert target_of(None, {}) == parse_url("127.0.0.1:7400")


class TestCommands:
    def test_options_of_the_url_reach_a_command_and_its_own_count_for_more(
        self, store: StoreDouble
    ) -> None:
        store.put("k", 1, namespace="shop")
        server = f"{store.url}?namespace=shop&timeout=7&r=1"
        assert CliRunner().invoke(main, ["get", "k", "--server", server]).stdout == "1\n"
        assert store.requests[-1].query["r"] == "1"
        assert 3000 < int(store.requests[-1].query["timeout_ms"]) <= 7000
        other = ["--namespace", "other", "--timeout", "2", "-r", "2"]
        CliRunner().invoke(main, ["get", "k", "--server", server, *other])
        assert store.requests[-1].query["namespace"] == "other"
        assert store.requests[-1].query["r"] == "2"
        assert int(store.requests[-1].query["timeout_ms"]) <= 2000

    def test_how_programs_read_values_is_nothing_to_a_command(self, store: StoreDouble) -> None:
        server = f"{store.url}?serializer=pickle&on_conflict=raise"
        assert CliRunner().invoke(main, ["set", "k", "1", "--server", server]).exit_code == 0
        assert store.value("k") == 1
        store.put("k", 2, 1)
        assert CliRunner().invoke(main, ["get", "k", "--server", server]).stdout == "1\n"


def test_quorums_of_the_client_hold_for_calls_that_say_nothing(store: StoreDouble) -> None:
    with kvorum.connect(store.address, r=2, w=3, quorum="sloppy") as client:
        client.set("k", 1)
        assert (store.requests[-1].query["w"], store.requests[-1].query["quorum"]) == (
            "3",
            "sloppy",
        )
        client.set("k", 1, w=1, quorum="strict")
        assert (store.requests[-1].query["w"], store.requests[-1].query["quorum"]) == (
            "1",
            "strict",
        )
        client.get("k")
        assert store.requests[-1].query["r"] == "2"
        assert "w" not in store.requests[-1].query
        client.get_many(["k"], r=1)
        assert store.requests[-1].query["r"] == "1"
        client.set_many({"k": 2})
        assert store.requests[-1].query["w"] == "3"
        client.touch("k", 5)
        client.delete("k")
        assert store.requests[-1].query["w"] == "3"
        list(client.scan())
        assert "r" not in store.requests[-1].query


def test_without_them_the_namespace_decides(store: StoreDouble) -> None:
    with kvorum.connect(store.address) as client:
        client.set("k", 1)
        client.get("k")
    assert not {"r", "w", "quorum"} & {name for seen in store.requests for name in seen.query}


@pytest.mark.parametrize("retries", [0, 2])
def test_retries_bound_how_often_a_call_is_repeated(store: StoreDouble, retries: int) -> None:
    store.script(*[answer(problem(503, "overloaded"))] * 50)
    with (
        kvorum.connect(store.address, retries=retries, backoff=0.0) as client,
        pytest.raises(Overloaded),
    ):
        client.get("k")
    assert len(store.requests) == retries + 1


def test_connections_bound_the_pool(store: StoreDouble) -> None:
    async def main() -> None:
        async with kvorum.aio.connect(store.address, connections=2) as client:
            await asyncio.gather(*(client.set(f"k{i}", i) for i in range(20)))

    asyncio.run(main())
    assert len({seen.connection for seen in store.requests}) <= 2


def test_errors_of_options_are_the_clients_own() -> None:
    with pytest.raises(KvorumError):
        kvorum.connect("a", r="2")  # type: ignore[arg-type]
