"""Contexts and variables: which cluster is asked where the program does not say it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.http_store import StoreDouble

import kvorum
import kvorum.aio
from kvorum.client.contexts import Contexts, read_contexts
from kvorum.client.environment import target_of
from kvorum.client.url import parse_url
from kvorum.errors import ConfigError

SECRET = "planted-5ecret"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user's contexts are; there are none yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "kvorum" / "contexts.toml"


def write(file: Path, text: str, mode: int = 0o600) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    file.chmod(mode)


SHOP = """
current = "shop"

[contexts.shop]
server = "kvorums://shop?timeout=5"
ca = "ca.crt"
token = "kvt_shop"

[contexts.local]
server = "127.0.0.1:7401"
"""


class TestWhichCluster:
    def test_the_current_context(self, file: Path) -> None:
        write(file, SHOP)
        target = target_of(None, {})
        assert str(target) == f"kvorums://shop:7400?ca={file.parent}/ca.crt&timeout=5.0"
        assert target.token == "kvt_shop"

    def test_that_of_the_variable_counts_for_more(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(file, SHOP)
        monkeypatch.setenv("KVORUM_CONTEXT", "local")
        assert target_of(None, {}) == parse_url("127.0.0.1:7401")

    def test_a_server_in_the_environment_counts_for_more_than_contexts(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(file, SHOP)
        monkeypatch.setenv("KVORUM_CONTEXT", "shop")
        monkeypatch.setenv("KVORUM_SERVER", "kvorums://other")
        assert target_of(None, {}) == parse_url("kvorums://other")

    def test_what_is_given_counts_for_more_than_all_of_that(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(file, SHOP)
        monkeypatch.setenv("KVORUM_SERVER", "kvorums://other")
        assert target_of("kvorums://mine", {}) == parse_url("kvorums://mine")
        assert target_of(None, {}, context="local") == parse_url("127.0.0.1:7401")
        with pytest.raises(ConfigError, match="Both servers and the context 'shop' are given"):
            target_of("mine", {}, context="shop")

    def test_without_any_it_is_this_machine(self, file: Path) -> None:
        assert target_of(None, {}) == parse_url("127.0.0.1:7400")
        write(file, "")
        assert target_of(None, {}) == parse_url("127.0.0.1:7400")

    def test_both_clients_ask_it(self, file: Path, store: StoreDouble) -> None:
        write(file, f'current = "x"\n[contexts.x]\nserver = "{store.address}?namespace=orders"\n')
        with kvorum.connect() as client:
            client.set("k", 1)
        assert store.values("orders") == {"k": 1}
        assert store.address in repr(kvorum.aio.connect())


class TestCredentialsOfTheEnvironment:
    def test_they_are_for_servers_with_tls(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in {"TOKEN": "kvt_x", "CA": "a", "CERT": "b", "KEY": "c"}.items():
            monkeypatch.setenv(f"KVORUM_{name}", value)
        assert target_of("kvorums://a", {}) == parse_url("kvorums://kvt_x@a?ca=a&cert=b&key=c")
        assert target_of("kvorum://a", {}) == parse_url("kvorum://a")

    def test_those_of_the_servers_count_for_more(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(file, SHOP)
        monkeypatch.setenv("KVORUM_TOKEN_FILE", "/run/token")
        monkeypatch.setenv("KVORUM_CA", "/run/ca")
        of_context = target_of(None, {}, context="shop")
        assert (of_context.token, of_context.token_file) == ("kvt_shop", None)
        assert of_context.ca == file.parent / "ca.crt"
        assert target_of("kvorums://u:p@a", {}).token_file is None
        assert target_of("kvorums://a", {}).token_file == Path("/run/token")
        assert target_of("kvorums://a", {"token_file": "f"}).token_file == Path("f")

    def test_a_bad_one_is_named_and_not_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KVORUM_TOKEN", f"{SECRET} x")
        with pytest.raises(ConfigError, match=r"^The variable KVORUM_TOKEN: The token") as caught:
            target_of("kvorums://a", {})
        assert SECRET not in str(caught.value)

    def test_a_context_that_is_not_there_is_named(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(file, SHOP)
        monkeypatch.setenv("KVORUM_CONTEXT", "shpo")
        with pytest.raises(
            ConfigError, match="The variable KVORUM_CONTEXT: There is no context 'shpo'"
        ):
            target_of(None, {})


class TestTheFile:
    def test_only_its_owner_may_read_it(self, file: Path) -> None:
        Contexts(file, "a", {"a": {"server": "kvorums://a", "token": "kvt_x"}}).save()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        assert [it.name for it in file.parent.iterdir()] == ["contexts.toml"]

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
    @pytest.mark.parametrize(
        "context", [f'token = "{SECRET}"', f'password = "{SECRET}"\nuser = "ada"', ""]
    )
    def test_secrets_that_others_may_read_are_refused(
        self, file: Path, mode: int, context: str
    ) -> None:
        in_url = f"ada:{SECRET}@" * (not context)
        write(file, f'[contexts.a]\nserver = "kvorums://{in_url}a"\n{context}', mode)
        with pytest.raises(ConfigError, match=f"chmod 600 {file}") as caught:
            target_of(None, {})
        assert SECRET not in str(caught.value)

    @pytest.mark.parametrize("servers", [f"ada:{SECRET}/@a", f"ada:{SECRET}@[a"])
    def test_nor_are_they_missed_in_a_url_that_is_wrong(self, file: Path, servers: str) -> None:
        write(file, f'current = "a"\n[contexts.a]\nserver = "kvorums://{servers}"', 0o644)
        with pytest.raises(ConfigError, match=f"chmod 600 {file}"):
            target_of(None, {})

    def test_a_server_that_cannot_be_read_is_named_where_others_may_read_it(
        self, file: Path
    ) -> None:
        write(file, 'current = "a"\n[contexts.a]\nserver = "kvorums://[x"', 0o644)
        with pytest.raises(ConfigError, match="The context 'a' in"):
            target_of(None, {})

    def test_without_secrets_others_may_read_it(self, file: Path) -> None:
        write(file, 'current = "a"\n[contexts.a]\nserver = "a"', 0o644)
        assert target_of(None, {}) == parse_url("a")

    @pytest.mark.parametrize(
        "text",
        [
            f'token = "{SECRET}',
            f'token = "{SECRET}"',
            "current = 5",
            "contexts = 5",
            "contexts.a = 5",
            f'[contexts.a]\nserver = "a"\ncolour = "{SECRET}"',
            "[contexts.a]\nserver = 5",
        ],
    )
    def test_what_is_no_such_file_is_named_and_not_shown(self, file: Path, text: str) -> None:
        write(file, text)
        with pytest.raises(ConfigError, match=f"{file} is not a file of contexts") as caught:
            kvorum.connect()
        assert SECRET not in str(caught.value)
        assert caught.value.__context__ is None
        assert file.read_text() == text

    @pytest.mark.parametrize(
        ("context", "message"),
        [
            ("", "is not a kvorum URL"),
            ('server = "a:port"', "'a:port'"),
            ('server = "a"\ntoken = ""', "The token is empty"),
        ],
    )
    def test_a_bad_context_is_named(self, file: Path, context: str, message: str) -> None:
        write(file, f'current = "x"\n[contexts.x]\n{context}')
        with pytest.raises(ConfigError, match=f"The context 'x' in {file}: .*{message}"):
            target_of(None, {})

    @given(st.dictionaries(st.text(min_size=1), st.text()), st.none() | st.text())
    def test_what_is_saved_is_read_again(
        self, tmp_path_factory: pytest.TempPathFactory, texts: dict[str, str], current: str | None
    ) -> None:
        home = tmp_path_factory.mktemp("home")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CONFIG_HOME", str(home))
            by_name = {name: {"server": text} for name, text in texts.items()}
            Contexts(home / "kvorum" / "contexts.toml", current, by_name).save()
            made = read_contexts()
        assert (made.current, made.by_name) == (current, by_name)

    def test_repr_shows_no_secret(self, file: Path) -> None:
        write(file, f'[contexts.a]\nserver = "kvorums://a"\ntoken = "{SECRET}"')
        assert SECRET not in repr(read_contexts())
