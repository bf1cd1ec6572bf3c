"""`kvorum context`, and the options by which commands say who asks."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from kit.certificates import TestAuthority, server_context
from kit.http_store import StoreDouble, store_double

from kvorum.cli import main
from kvorum.cli.errors import ExitCode

TOKEN = "kvt_planted-5ecret"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    return TestAuthority(tmp_path_factory.mktemp("certs"))


@pytest.fixture
def secure(authority: TestAuthority) -> Iterator[StoreDouble]:
    with store_double(tls=server_context(authority.node("n1"))) as double:
        double.admitted = {f"Bearer {TOKEN}"}
        yield double


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    return file


def run(*words: object, stdin: str | None = None, **environment: str) -> Result:
    result = CliRunner().invoke(main, [*map(str, words)], input=stdin, env=environment)
    assert TOKEN not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


class TestOptions:
    def test_a_command_says_who_asks(
        self, secure: StoreDouble, authority: TestAuthority, token_file: Path
    ) -> None:
        given = ["--server", secure.url, "--ca", authority.ca, "--token-file", token_file]
        assert run("set", "k", "1", *given).exit_code == ExitCode.OK
        assert run("get", "k", *given).stdout == "1\n"

    def test_or_the_environment_does(self, secure: StoreDouble, authority: TestAuthority) -> None:
        where = {"KVORUM_SERVER": secure.url, "KVORUM_CA": str(authority.ca)}
        assert run("set", "k", "1", **where, KVORUM_TOKEN=TOKEN).exit_code == ExitCode.OK
        url = f"kvorums://{TOKEN}@{secure.address}?ca={authority.ca}"
        assert run("get", "k", KVORUM_SERVER=url).stdout == "1\n"
        refused = run("get", "k", **where)
        assert refused.exit_code == ExitCode.REFUSED
        assert "--token-file" in refused.stderr

    def test_a_key_of_an_entry_is_another_thing(self, store: StoreDouble) -> None:
        run("set", "k", "1", "--server", store.address)
        assert store.value("k") == 1

    def test_a_secret_on_the_command_line_is_refused(self, secure: StoreDouble) -> None:
        for url in (f"kvorums://{TOKEN}@{secure.address}", f"ada:{TOKEN}@{secure.address}"):
            refused = run("get", "k", "--server", url)
            assert refused.exit_code == ExitCode.CONFIG
            assert "Every user of this machine can read the command line" in refused.stderr
            assert "KVORUM_TOKEN" in refused.stderr
            assert run("context", "add", "x", url).exit_code == ExitCode.CONFIG
        assert secure.requests == []

    def test_a_server_and_a_context_at_once_are_refused(self) -> None:
        refused = run("get", "k", "--server", "a", "--context", "b")
        assert refused.exit_code == ExitCode.CONFIG
        assert "Give one of them" in refused.stderr

    def test_a_bad_certificate_is_told_in_one_line(
        self, secure: StoreDouble, tmp_path: Path
    ) -> None:
        other = TestAuthority(tmp_path / "other", "elsewhere")
        refused = run("get", "k", "--server", secure.url, "--ca", other.ca)
        assert refused.exit_code == ExitCode.UNAVAILABLE
        assert f"of none of the authorities in {other.ca}" in refused.stderr
        assert refused.stderr.count("\n") == 1


@pytest.mark.usefixtures("home")
class TestContexts:
    def test_a_cluster_is_added_and_asked(
        self, secure: StoreDouble, authority: TestAuthority, token_file: Path, home: Path
    ) -> None:
        words = ["--ca", authority.ca, "--token-file", token_file]
        assert run("context", "add", "shop", secure.url, *words).exit_code == ExitCode.OK
        assert run("set", "k", "1", "--context", "shop").exit_code == ExitCode.OK
        assert run("get", "k", KVORUM_CONTEXT="shop").stdout == "1\n"
        assert run("context", "use", "shop").exit_code == ExitCode.OK
        assert run("get", "k").stdout == "1\n"
        file = home / "kvorum" / "contexts.toml"
        assert TOKEN not in file.read_text()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert run("context", "remove", "shop").exit_code == ExitCode.OK
        assert run("get", "k", "--context", "shop").exit_code == ExitCode.CONFIG

    def test_a_token_from_stdin_is_kept(
        self, secure: StoreDouble, authority: TestAuthority
    ) -> None:
        words = ["context", "add", "shop", f"{secure.url}?ca={authority.ca}", "--use"]
        assert run(*words, "--token-stdin", stdin=f"{TOKEN}\n").exit_code == ExitCode.OK
        assert run("set", "k", "1").exit_code == ExitCode.OK
        assert secure.value("k") == 1

    def test_a_password_from_stdin_is_kept(
        self, secure: StoreDouble, authority: TestAuthority
    ) -> None:
        secure.admitted = {"Basic YWRhOnA="}
        words = ["context", "add", "shop", secure.url, "--ca", authority.ca, "--use"]
        assert run(*words, "--user", "ada", "--password-stdin", stdin="p\n").exit_code == 0
        assert run("set", "k", "1").exit_code == ExitCode.OK

    def test_names_of_files_are_kept_whole(
        self, authority: TestAuthority, monkeypatch: pytest.MonkeyPatch, home: Path
    ) -> None:
        monkeypatch.chdir(authority.directory)
        assert run("context", "add", "a", "kvorums://a", "--ca", "ca.crt").exit_code == 0
        assert run("context", "add", "b", "kvorums://b?ca=ca.crt").exit_code == 0
        kept = (home / "kvorum" / "contexts.toml").read_text()
        assert kept.count(f'ca = "{authority.ca}"') == 2

    def test_they_are_listed_without_secrets(self, authority: TestAuthority) -> None:
        assert json.loads(run("context", "list", "-o", "json").stdout)["contexts"] == []
        words = ["--ca", authority.ca, "--token-stdin"]
        run("context", "add", "shop", "kvorums://a,b", *words, stdin=TOKEN)
        run("context", "add", "plain", "c", "--use")
        assert "a token" in run("context", "list").stdout
        assert json.loads(run("context", "list", "-o", "json").stdout)["contexts"] == [
            {
                "name": "shop",
                "current": False,
                "server": f"kvorums://a:7400,b:7400?ca={authority.ca}",
                "credentials": "a token",
            },
            {"name": "plain", "current": True, "server": "kvorum://c:7400", "credentials": "none"},
        ]

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["add", "shop", "a"], "There is a context 'shop' already"),
            (["add", "a/b", "a"], "No context can be called 'a/b'"),
            (["add", "x", "a:port"], "'a:port'"),
            (["add", "x", "kvorum://a", "--token-stdin"], "would be of no use"),
            (["add", "x", "kvorums://a", "--user", "u"], "belong together. Give password"),
            (["add", "x", "kvorums://a", "--ca", "nowhere.crt"], "nowhere.crt"),
            (["add", "x", "kvorums://a", "--token-file", "nowhere"], "nowhere"),
            (["add", "x", "kvorums://a", "--token-stdin", "--password-stdin"], "stdin cannot"),
            (["use", "x"], "There is no context 'x'"),
            (["remove", "x"], "There is no context 'x'"),
        ],
    )
    def test_bad_input_changes_nothing(self, words: list[str], message: str, home: Path) -> None:
        run("context", "add", "shop", "a", "--use")
        file = home / "kvorum" / "contexts.toml"
        before = file.read_bytes()
        refused = run("context", *words, stdin=f"{TOKEN}\n")
        assert refused.exit_code in (ExitCode.CONFIG, ExitCode.USAGE)
        assert message in refused.stderr
        assert file.read_bytes() == before
