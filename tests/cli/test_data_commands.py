"""set, get and delete."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.http_store import Reply, StoreDouble, answer, hang_up, problem, store_double

from kvorum.cli import main
from kvorum.cli.errors import ExitCode

Kvorum = Callable[..., Result]


@pytest.fixture
def kvorum(store: StoreDouble) -> Kvorum:
    def call(*words: str, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(main, words, input=stdin, env={"KVORUM_SERVER": store.address})

    return call


@pytest.mark.parametrize(
    ("words", "stored"),
    [
        (["42"], 42),
        (["1234567890123456789012345678901234567890"], 1234567890123456789012345678901234567890),
        (['{"a": [1, null]}'], {"a": [1, None]}),
        (['"42"'], "42"),
        (["hello"], "hello"),
        (["NaN"], "NaN"),
        (["{a}"], "{a}"),
        ([""], ""),
        (["--string", "42"], "42"),
        (["--json", "42"], 42),
        (["--bytes", "42"], "NDI="),
        (["--", "-5"], -5),
    ],
)
def test_a_value_is_json_if_it_reads_as_json_else_a_string(
    kvorum: Kvorum, store: StoreDouble, words: list[str], stored: Any
) -> None:
    result = kvorum("set", "k", *words)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "created k\n", "")
    assert store.value("k") == stored
    assert kvorum("set", "k", *words).stdout == "updated k\n"


@pytest.mark.parametrize(
    ("words", "data", "stored"),
    [
        ([], b'{"a": 1}\n', {"a": 1}),
        ([], b"text\n", "text\n"),
        (["--string"], b"1", "1"),
        (["--bytes"], b"\x00\xff", "AP8="),
    ],
)
def test_a_value_can_come_from_a_file(
    kvorum: Kvorum, store: StoreDouble, tmp_path: Path, words: list[str], data: bytes, stored: Any
) -> None:
    file = tmp_path / "value"
    file.write_bytes(data)
    assert kvorum("set", "a", "--file", str(file), *words).exit_code == 0
    assert kvorum("set", "b", "--file", "-", *words, stdin=data).exit_code == 0
    assert store.values() == {"a": stored, "b": stored}


@pytest.mark.parametrize(
    ("words", "stdin"),
    [
        ([], None),
        (["1", "--file", "-"], b"1"),
        (["--json", "nonsense"], None),
        (["--file", "-"], b"\xff"),
        (["--file", "-", "--string"], b"\xff"),
        (["--file", "/no/such/file"], None),
        (["1", "--if-absent", "--if-version", "v1"], None),
        (["[" * 100_000, "--json"], None),
    ],
)
def test_a_wrong_value_is_misuse_and_nothing_is_sent(
    kvorum: Kvorum, store: StoreDouble, words: list[str], stdin: bytes | None
) -> None:
    result = kvorum("set", "k", *words, stdin=stdin)
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert store.requests == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "Neither VALUE nor --file is given"),
        (["1", "--file", "-"], "VALUE and --file are both given"),
        (["1", "--string", "--json"], "--string and --json exclude"),
        (["1", "--string", "--json", "--bytes"], "--string and --json and --bytes exclude"),
        (["{", "--json"], "The value '{' is not JSON"),
        (["[" * 100_000, "--json"], "nested more deeply"),
    ],
)
def test_what_is_wrong_with_a_value_is_said(kvorum: Kvorum, words: list[str], says: str) -> None:
    result = kvorum("set", "k", *words, stdin=b"")
    assert result.exit_code == ExitCode.USAGE
    assert says in result.stderr


def test_a_key_that_is_no_text_is_told_from_one_that_is(kvorum: Kvorum) -> None:
    result = kvorum("get", "ab\udcff")
    assert result.exit_code == ExitCode.USAGE
    assert "character 3" in result.stderr
    assert "no UTF-8" in result.stderr


@pytest.mark.parametrize("seconds", ["nan", "inf", "0", "-1", "-0.0"])
def test_a_timeout_that_is_none_is_misuse(kvorum: Kvorum, store: StoreDouble, seconds: str) -> None:
    result = kvorum("get", "k", "--timeout", seconds)
    assert result.exit_code == ExitCode.USAGE
    assert "more than 0 seconds" in result.stderr
    assert store.requests == []


def test_the_text_of_json_is_kept(kvorum: Kvorum, store: StoreDouble) -> None:
    kvorum("set", "k", '{"price": 1.50}')
    assert kvorum("get", "k").stdout == '{"price": 1.50}\n'


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (42, b"42\n"),
        ("a\tb\x1b[0m", b"a\tb\x1b[0m\n"),
        ({"a": "ü"}, '{"a":"ü"}\n'.encode()),
        (None, b"null\n"),
    ],
)
def test_get_prints_the_bare_value(
    kvorum: Kvorum, store: StoreDouble, value: Any, printed: bytes
) -> None:
    store.put("k", value)
    result = kvorum("get", "k")
    assert (result.exit_code, result.stdout_bytes, result.stderr) == (0, printed, "")


def test_bytes_come_out_as_bytes(kvorum: Kvorum) -> None:
    kvorum("set", "k", "--bytes", "--file", "-", stdin=bytes(range(256)))
    assert kvorum("get", "k").stdout_bytes == bytes(range(256))


def on_terminal(*words: str) -> tuple[int, bytes]:
    """(exit code, what a terminal at stdout is sent)"""
    terminal, stdout = pty.openpty()
    command = [sys.executable, "-m", "kvorum", *words]
    done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(stdout)
    shown = os.read(terminal, 65536) if done.returncode == 0 else b""
    os.close(terminal)
    return done.returncode, shown


def test_a_terminal_is_not_steered_by_what_is_stored(kvorum: Kvorum, store: StoreDouble) -> None:
    store.put("k", "a\tb\nü\x1b[31m\x07")
    assert on_terminal("get", "k", "--server", store.address) == (
        0,
        "a\tb\r\nü\\x1b[31m\\x07\r\n".encode(),
    )
    kvorum("set", "bytes", "--bytes", "x")
    code, _ = on_terminal("get", "bytes", "--server", store.address)
    assert code == ExitCode.USAGE


def test_a_missing_key(kvorum: Kvorum) -> None:
    for command in ("get", "delete"):
        result = kvorum(command, "k")
        assert result.exit_code == ExitCode.NOT_FOUND
        assert result.stderr == "error: No such key: 'k'.\n"
        as_json = kvorum(command, "k", "-o", "json")
        assert (as_json.exit_code, as_json.stdout) == (ExitCode.NOT_FOUND, "")
        assert json.loads(as_json.stderr)["error"]["code"] == "not_found"


def test_advice_for_programs_is_in_the_terms_of_the_command_too(
    kvorum: Kvorum, store: StoreDouble
) -> None:
    store.script(answer(problem(404, "not_found", advice="Use POST /entry.")))
    error = json.loads(kvorum("get", "k", "-o", "json").stderr)["error"]
    assert "--namespace" in error["advice"]
    assert "POST" not in error["advice"]


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (
            problem(404, "not_found", advice="Check the key; use POST /entry."),
            "error: No such key: 'k'. Check the key and --namespace, or "
            "store it with 'kvorum set'.\n",
        ),
        (
            problem(404, "namespace_not_found", detail="no such place", advice="Mind the name."),
            "error: no such place. Mind the name.\n",
        ),
        (
            problem(421, "misdirected_request", detail="It is not 'x'.", advice="Use another."),
            "error: It is not 'x'. Use another.\n",
        ),
    ],
)
def test_a_servers_advice_is_passed_on(
    kvorum: Kvorum, store: StoreDouble, reply: Reply, says: str
) -> None:
    store.script(answer(reply))
    assert kvorum("get", "k").stderr == says


@pytest.mark.parametrize("code", ["invalid_key", "invalid_value"])
def test_advice_that_only_repeats_a_refusal_in_terms_of_http_is_left_out(
    kvorum: Kvorum, store: StoreDouble, code: str
) -> None:
    refusal = problem(400, code, detail="w is 9.", advice="Percent-encode it as the detail says.")
    store.script(answer(refusal))
    assert kvorum("get", "k").stderr == "error: w is 9.\n"
    store.script(answer(refusal))
    assert "advice" not in json.loads(kvorum("get", "k", "-o", "json").stderr)["error"]


def test_get_as_json_tells_everything(kvorum: Kvorum, store: StoreDouble) -> None:
    store.put("k", {"a": 1}, 2)
    shown = json.loads(kvorum("get", "k", "-o", "json").stdout)
    assert shown == {
        "key": "k",
        "value": 2,
        "version": "v2",
        "clock": [["n1", 2, 1_700_000_000_002]],
        "hash": "h2",
        "siblings": [
            {"value": 2, "clock": [["n1", 2, 1_700_000_000_002]], "hash": "h2"},
            {"value": {"a": 1}, "clock": [["n1", 1, 1_700_000_000_001]], "hash": "h1"},
        ],
    }


def test_get_all_shows_version_clock_and_siblings(kvorum: Kvorum, store: StoreDouble) -> None:
    store.put("k", "mine", "[red]yours[/]")
    shown = kvorum("get", "k", "--all").stdout
    for part in ("v2", "h1", "h2", "n1", '"mine"', '"[red]yours[/]"', "2 siblings", "2023-11-14"):
        assert part in shown


def test_siblings_do_not_go_unnoticed(kvorum: Kvorum, store: StoreDouble) -> None:
    store.put("k", 1, 2)
    result = kvorum("get", "k")
    assert result.stdout == "2\n"
    assert "2 concurrent values" in result.stderr


def test_versions_and_conditions_reach_the_server(kvorum: Kvorum, store: StoreDouble) -> None:
    kvorum("set", "k", "1", "--version", "v7", "-w", "2", "--namespace", "shop")
    kvorum("set", "k", "1", "--if-version", "v8")
    kvorum("set", "k", "1", "--if-absent")
    kvorum("get", "k", "-r", "3", "--timeout", "2")
    kvorum("delete", "k", "--version", "v9", "--if-version", "v9", "-w", "1")
    versioned, at_version, absent, get, delete = store.requests
    assert versioned.json()["metadata"] == {"valueVersion": "v7"}
    assert versioned.json()["namespace"] == "shop"
    assert versioned.query["w"] == "2"
    assert at_version.headers["if-match"] == '"v8"'
    assert absent.headers["if-none-match"] == "*"
    assert get.query["r"] == "3"
    assert int(get.query["timeout_ms"]) < 2000
    assert delete.query.items() >= {"valueVersion": "v9", "w": "1"}.items()
    assert delete.headers["if-match"] == '"v9"'


def test_a_condition_that_does_not_hold(kvorum: Kvorum, store: StoreDouble) -> None:
    refusal = answer(problem(412, "precondition_failed", detail="If-Match is wrong", advice="ETag"))
    store.script(refusal, refusal, refusal)
    for words in (
        ["set", "k", "1", "--if-absent"],
        ["set", "k", "1", "--if-version", "v1"],
        ["delete", "k", "--if-version", "v1"],
    ):
        result = kvorum(*words)
        assert result.exit_code == ExitCode.REFUSED
        assert "The key 'k'" in result.stderr
        assert next(word for word in words if word.startswith("--if")) in result.stderr
        assert "Match" not in result.stderr
        assert "ETag" not in result.stderr


def test_an_unknown_outcome_says_what_to_do(kvorum: Kvorum, store: StoreDouble) -> None:
    store.script(hang_up())
    result = kvorum("set", "k", "1")
    assert result.exit_code == ExitCode.UNKNOWN
    assert "read before you repeat it" in result.stderr
    store.script(hang_up())
    as_json = kvorum("set", "k", "1", "-o", "json")
    assert json.loads(as_json.stderr)["error"]["outcome"] == "unknown"


def test_a_missed_quorum_tells_its_numbers_to_programs(kvorum: Kvorum, store: StoreDouble) -> None:
    details: dict[str, Any] = {"needed": 2, "got": 1, "replicas": ["n1"]}
    store.script(*[answer(problem(503, "quorum_not_met", **details))] * 20)
    result = kvorum("get", "k", "-o", "json")
    assert result.exit_code == ExitCode.UNAVAILABLE
    error = json.loads(result.stderr)["error"]
    assert error.items() >= {"code": "quorum_not_met", "outcome": "none", **details}.items()


ADVICE = "If the outcome is unknown, read the entry before you repeat a write."


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["get", "k"], "Retry later, or with a smaller -r if weaker guarantees will do."),
        (["set", "k", "1"], "Retry later, or with a smaller -w if weaker guarantees will do."),
        (["delete", "k"], "Retry later, or with a smaller -w if weaker guarantees will do."),
        (["export"], "Retry later."),
    ],
)
def test_what_to_do_about_a_quorum_is_said_in_the_terms_of_the_command(
    kvorum: Kvorum, store: StoreDouble, words: list[str], says: str
) -> None:
    missed = problem(503, "quorum_not_met", detail="2 of 3 are needed.", advice=ADVICE)
    store.script(*[answer(missed)] * 20)
    result = kvorum(*words)
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert result.stderr == f"error: 2 of 3 are needed. {says}\n"


@pytest.mark.parametrize(
    "code", ["timeout", "unavailable", "connection_failed", "protocol", "error", "internal_error"]
)
def test_a_read_that_failed_is_no_reason_to_read_before_a_write_is_repeated(
    kvorum: Kvorum, store: StoreDouble, code: str
) -> None:
    store.script(*[answer(problem(503, code, detail="No.", advice=ADVICE))] * 20)
    assert "write" not in kvorum("get", "k").stderr
    assert "write" not in kvorum("get", "k", "-o", "json").stderr


def test_a_write_of_unknown_outcome_is_to_be_looked_at(kvorum: Kvorum, store: StoreDouble) -> None:
    unknown = problem(503, "timeout", outcome="unknown", detail="No.", advice=ADVICE)
    store.script(answer(unknown), answer(unknown))
    assert "read before you repeat it" in kvorum("set", "k", "1").stderr
    error = json.loads(kvorum("set", "k", "1", "-o", "json").stderr)["error"]
    assert "read before you repeat it" in error["advice"]


def test_delete_shows_programs_what_was_deleted(kvorum: Kvorum, store: StoreDouble) -> None:
    store.put("k", [1])
    assert json.loads(kvorum("delete", "k", "-o", "json").stdout)["value"] == [1]
    store.put("k", [1])
    assert kvorum("delete", "k").stdout == "deleted k\n"
    assert store.held == {}


@settings(max_examples=30)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50))
def test_any_key_and_text_come_back(text: str) -> None:
    with store_double() as store:
        env = {"KVORUM_SERVER": store.address}
        assert (
            CliRunner().invoke(main, ["set", "--string", "--", text, text], env=env).exit_code == 0
        )
        shown = CliRunner().invoke(main, ["get", "--", text], env=env)
        assert shown.stdout_bytes == text.encode() + b"\n"


@pytest.mark.parametrize(
    ("words", "stored"),
    [
        (["set", "depth", "-5"], {"depth": -5}),
        (["set", "depth", "-5.5e3", "--ttl", "60", "-w", "1"], {"depth": -5500.0}),
        (["set", "--string", "depth", "-5"], {"depth": "-5"}),
        (["set", "a", "-1", "-2", "-3"], {"a": -1, "-2": -3}),
        (["set", "mark", "--", "--all"], {"mark": "--all"}),
        (["set", "-7", "--", "-x"], {"-7": "-x"}),
    ],
)
def test_a_negative_number_is_no_option(
    kvorum: Kvorum, store: StoreDouble, words: list[str], stored: Any
) -> None:
    result = kvorum(*words)
    assert (result.exit_code, result.stderr) == (0, "")
    assert store.values() == stored


def test_a_key_that_is_a_negative_number_is_read_and_deleted(
    kvorum: Kvorum, store: StoreDouble
) -> None:
    store.put("-7", 1)
    assert kvorum("get", "-7").stdout == "1\n"
    assert kvorum("touch", "-7", "0").exit_code == 0
    assert "'-5' is no lifetime" in kvorum("touch", "-7", "-5").stderr
    assert kvorum("delete", "-7").stdout == "deleted -7\n"


def test_what_looks_like_an_option_and_is_none_is_told_where_to_go(
    kvorum: Kvorum, store: StoreDouble
) -> None:
    result = kvorum("set", "n", "-infinity")
    assert result.exit_code == ExitCode.USAGE
    assert "No such option: -infinity" in result.stderr
    assert "set ... -- -infinity'" in result.stderr
    assert "Did you mean" in kvorum("set", "n", "1", "--strin").stderr
    assert store.requests == []


def test_a_negative_number_is_still_refused_where_an_option_takes_it(
    kvorum: Kvorum, store: StoreDouble
) -> None:
    result = kvorum("set", "n", "1", "--ttl", "-5")
    assert result.exit_code == ExitCode.USAGE
    assert "'--ttl'" in result.stderr
    assert store.requests == []


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("5m", 300),
        ("1h", 3600),
        ("1h30m", 5400),
        ("7d", 7 * 86400),
        ("1w1d1h1m1s", 694_861),
    ],
)
def test_a_lifetime_has_units(kvorum: Kvorum, store: StoreDouble, given: str, seconds: int) -> None:
    assert kvorum("set", "k", "1", "--ttl", given).exit_code == 0
    assert store.requests[-1].json()["metadata"]["ttl"] == seconds
    assert kvorum("touch", "k", given).exit_code == 0
    assert store.requests[-1].json()["metadata"]["ttl"] == seconds


@pytest.mark.parametrize(
    "given", ["", "1.5h", "1y", "30m1h", "h", "1 h", "1H", "-1h", "٣", "1h5", "9" * 30]
)
def test_what_is_no_lifetime_is_refused(kvorum: Kvorum, store: StoreDouble, given: str) -> None:
    for words in (["set", "k", "1", "--ttl", given], ["touch", "k", "--", given]):
        result = kvorum(*words)
        assert result.exit_code == ExitCode.USAGE
        assert "is no lifetime. Give seconds, as 90, or a number with a unit" in result.stderr
    assert store.requests == []


def test_a_lifetime_beyond_the_longest_is_refused(kvorum: Kvorum, store: StoreDouble) -> None:
    result = kvorum("set", "k", "1", "--ttl", "9999999999w")
    assert result.exit_code == ExitCode.USAGE
    assert "is longer than the" in result.stderr
    assert store.requests == []
