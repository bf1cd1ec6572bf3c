"""The master key: it wraps, it says which one it is, and no word of what it is."""

from __future__ import annotations

import base64
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.errors import ConfigError
from kvorum.sealing import master_key
from kvorum.sealing.bounded_command import STDERR_BYTES_MAX, STDOUT_BYTES_MAX
from kvorum.sealing.master_key import (
    CommandSource,
    FileSource,
    MasterKey,
    load_first,
    parse_source,
)

KEY = bytes(range(100, 132))
HEX = KEY.hex()
BASE64 = base64.b64encode(KEY).decode()
ID = MasterKey(KEY).id

keys = st.binary(min_size=32, max_size=32)


def shown(error: BaseException) -> str:
    """All that a log or a crash report would show of it, its causes included."""
    return "".join(traceback.format_exception(error)) + repr(error)


def refusal(of: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        of()
    text = shown(caught.value)
    for secret in (HEX, BASE64, HEX[:16], BASE64[:16], repr(KEY)):
        assert secret not in text
    return caught.value.message


# Wrapping


@given(keys, st.binary(max_size=100), st.binary(max_size=50))
def test_what_is_wrapped_is_unwrapped(key: bytes, plain: bytes, context: bytes) -> None:
    wrapped = MasterKey(key).wrap(plain, context)
    assert MasterKey(key).unwrap(wrapped, context) == plain
    assert len(wrapped) == len(plain) + 28


def test_the_same_is_never_wrapped_the_same() -> None:
    master = MasterKey(KEY)
    assert len({master.wrap(b"plain", b"here") for _ in range(100)}) == 100


@given(st.data())
def test_a_changed_byte_is_refused(data: st.DataObject) -> None:
    wrapped = bytearray(MasterKey(KEY).wrap(bytes(32), b"here"))
    place = data.draw(st.integers(0, len(wrapped) - 1))
    wrapped[place] ^= data.draw(st.integers(1, 255))
    assert ID in refusal(lambda: MasterKey(KEY).unwrap(bytes(wrapped), b"here"))


@given(st.binary(max_size=60))
def test_what_was_never_wrapped_is_refused(garbage: bytes) -> None:
    assert ID in refusal(lambda: MasterKey(KEY).unwrap(garbage, b"here"))


@given(keys.filter(lambda key: key != KEY), st.binary(max_size=9))
def test_another_key_or_another_context_is_refused(other: bytes, context: bytes) -> None:
    wrapped = MasterKey(KEY).wrap(b"plain", context)
    assert MasterKey(other).id in refusal(lambda: MasterKey(other).unwrap(wrapped, context))
    refusal(lambda: MasterKey(KEY).unwrap(wrapped, context + b"."))


def test_a_mac_is_bound_to_key_data_and_context() -> None:
    master = MasterKey(KEY)
    mac = master.mac(b"data", b"context")
    assert master.verifies(mac, b"data", b"context")
    assert not master.verifies(mac, b"datb", b"context")
    assert not master.verifies(mac, b"tdata", b"contex")
    assert not MasterKey(bytes(32)).verifies(mac, b"data", b"context")


# Identity and secrecy


def test_the_id_is_16_hex_digits_of_the_key_alone() -> None:
    assert MasterKey(KEY).id == MasterKey(KEY).id
    assert len(bytes.fromhex(ID)) == 8
    assert MasterKey(bytes(32)).id != ID
    assert ID not in HEX


def test_nothing_in_a_master_key_shows_it() -> None:
    master = MasterKey(KEY)
    inside = [getattr(master, name) for name in MasterKey.__slots__]
    text = " ".join(map(repr, [master, str(master), *inside]))
    assert f"MasterKey({ID})" in text
    assert HEX not in text
    assert repr(KEY) not in text
    assert all(not isinstance(part, bytes | bytearray) for part in inside)


# Parsing


@pytest.mark.parametrize(
    "text", [HEX, HEX.upper(), BASE64, HEX + "\n", f"  {BASE64} \r\n"], ids=range(5)
)
def test_hex_and_base64_give_the_same_key(text: str) -> None:
    assert MasterKey.parse(text.encode()).id == ID


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        HEX[:-1].encode(),
        HEX[:-2].encode(),
        HEX.encode() + b"00",
        HEX[:-1].encode() + b"g",
        BASE64[:-1].encode(),
        BASE64.encode() + BASE64.encode(),
        HEX[:32].encode() + b"\n" + HEX[32:].encode(),
        KEY,
        b"\xff" * 64,
    ],
    ids=range(11),
)
def test_any_other_text_is_refused_and_not_repeated(text: bytes) -> None:
    assert "64 hex digits or of base64" in refusal(lambda: MasterKey.parse(text))


def test_a_key_of_another_length_is_refused() -> None:
    assert "this one 31" in refusal(lambda: MasterKey(KEY[:31]))


# Files


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "master.key"
    file.touch(0o600)
    file.write_text(HEX + "\n")
    return file


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_its_owner_alone_is_read(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    assert parse_source(f"file:{key_file}").load().id == ID


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o700, 0o4600])
def test_a_file_that_others_may_use_is_refused(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    message = refusal(FileSource(key_file).load)
    assert f"mode {mode:04o}" in message
    assert f"chmod 600 {key_file}" in message


def test_a_file_of_another_user_is_refused(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: key_file.stat().st_uid + 1)
    assert "Change the owner" in refusal(FileSource(key_file).load)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    message = refusal(FileSource(tmp_path / "none").load)
    assert str(tmp_path / "none") in message
    assert "No such file" in message


def test_a_pipe_or_a_directory_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path / "pipe", tmp_path):
        assert "not a regular file" in refusal(FileSource(path).load)


def test_a_file_with_something_else_in_it_is_refused(key_file: Path) -> None:
    key_file.write_text(HEX + HEX)
    assert str(key_file) in refusal(FileSource(key_file).load)
    key_file.write_bytes(b"\n" * (1 << 20))
    refusal(FileSource(key_file).load)


def test_a_first_start_makes_a_key_that_stays(tmp_path: Path) -> None:
    source = FileSource(tmp_path / "master.key")
    first = load_first(source)
    assert stat.S_IMODE((tmp_path / "master.key").stat().st_mode) == 0o600
    assert load_first(source).id == source.load().id == first.id
    assert [file.name for file in tmp_path.iterdir()] == ["master.key"]
    assert load_first(FileSource(tmp_path / "another")).id != first.id


def test_nodes_that_start_together_get_one_key(tmp_path: Path) -> None:
    ids: list[str] = []
    start = threading.Barrier(8)

    def first_start() -> None:
        start.wait()
        ids.append(load_first(FileSource(tmp_path / "master.key")).id)

    threads = [threading.Thread(target=first_start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 8
    assert len(set(ids)) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["master.key"]


@pytest.mark.parametrize("call", ["fsync", "link"])
def test_a_key_file_that_cannot_be_made_is_not_there(
    tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    source = FileSource(tmp_path / "master.key")
    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        assert "No space left" in refusal(source.create_if_missing)
    assert list(tmp_path.iterdir()) == []
    load_first(source)


def test_a_directory_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    source = FileSource(tmp_path / "none" / "master.key")
    assert "name another source" in refusal(source.create_if_missing)


# The environment


def test_a_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_MASTER_KEY", BASE64)
    assert load_first(parse_source("env:A_MASTER_KEY")).id == ID
    monkeypatch.setenv("A_MASTER_KEY", BASE64 + HEX)
    assert "A_MASTER_KEY" in refusal(parse_source("env:A_MASTER_KEY").load)
    monkeypatch.delenv("A_MASTER_KEY")
    assert "A_MASTER_KEY, which is to hold the master key, is not set" in refusal(
        parse_source("env:A_MASTER_KEY").load
    )


# Commands


def python(code: str) -> str:
    return f'command:{sys.executable} -c "{code}"'


def test_a_command_prints_the_key() -> None:
    assert load_first(parse_source(python(f"print('{HEX}')"))).id == ID


def test_a_command_is_given_to_no_shell(tmp_path: Path) -> None:
    source = parse_source(f"command:echo {HEX}; touch {tmp_path}/made")
    refusal(source.load)
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_fails_is_quoted_with_a_bound() -> None:
    code = (
        f"import sys; print('{HEX}'); print('sealed: ' + 'x' * 100_000, file=sys.stderr); exit(3)"
    )
    message = refusal(parse_source(python(code)).load)
    assert "exit status 3" in message
    assert "sealed: xxx" in message
    assert len(message) < STDERR_BYTES_MAX + 500


def test_a_command_that_was_killed_is_said_so() -> None:
    message = refusal(parse_source(python("import os; os.kill(os.getpid(), 9)")).load)
    assert "signal 9" in message


def test_a_command_that_is_missing_is_named() -> None:
    message = refusal(parse_source(f"command:/no/such/vault {HEX}").load)
    assert "/no/such/vault" in message
    assert "No such file" in message


def test_a_command_that_never_stops_talking_is_ended() -> None:
    message = refusal(parse_source("command:yes").load)
    assert f"more than {STDOUT_BYTES_MAX} bytes" in message


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = tmp_path / "hang"
    script.write_text(f"#!/bin/sh\nsleep 60 &\necho $! $$ >{pids}\nwait\n")
    script.chmod(0o700)
    message = refusal(CommandSource(str(script), seconds=0.5).load)
    assert "did not end in 0.5 s" in message
    for pid in pids.read_text().split():
        wait_until_gone(int(pid))


def test_a_command_that_closes_its_output_and_hangs_is_ended() -> None:
    code = "import os, time; os.close(1); os.close(2); time.sleep(60)"
    source = CommandSource(python(code).removeprefix("command:"), seconds=0.5)
    assert "closed its output" in refusal(source.load)


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            # A zombie that nobody has reaped yet is gone too.
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return
        if state in "ZX":
            return
        time.sleep(0.01)
    pytest.fail(f"process {pid} goes on")


def test_only_the_program_of_a_command_is_shown() -> None:
    source = parse_source(f"command:vault read {HEX}")
    assert source.describe() == "command vault"
    assert HEX not in repr(source)


# Sources by name


@pytest.mark.parametrize(
    "spec",
    ["", HEX, BASE64, "file:", "file:a\0b", "env:", f"env:{HEX}", "env:A-B", "command:",
     "command:  ", "command:'x", f"vault:{HEX}", "FILE:x"],
    ids=range(13),
)  # fmt: skip
def test_an_unknown_source_is_refused_and_not_repeated(spec: str) -> None:
    assert "the master key" in refusal(lambda: parse_source(spec))


@pytest.mark.parametrize(
    ("spec", "description"),
    [
        ("file:/a/b:c", "file /a/b:c"),
        ("env:KEY", "environment variable KEY"),
        ("command:get it now", "command get"),
    ],
)
def test_a_source_says_where_the_key_comes_from(spec: str, description: str) -> None:
    source = parse_source(spec)
    assert source.describe() == description


# Core dumps

ABORT = """
import os, resource
from kvorum.sealing.core_dumps import forbid_core_dumps
_, hard = resource.getrlimit(resource.RLIMIT_CORE)
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
forbid_core_dumps()
print(resource.getrlimit(resource.RLIMIT_CORE)[0], flush=True)
os.abort()
"""


def test_a_process_that_forbids_core_dumps_leaves_none(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ABORT], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        limit = process.stdout.read().strip()
        _, status = os.waitpid(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert limit in {"0", "1"}
    assert os.WTERMSIG(status) == signal.SIGABRT
    assert not os.WCOREDUMP(status)
    assert list(tmp_path.iterdir()) == []


def test_the_command_bound_is_ten_seconds() -> None:
    assert master_key.COMMAND_SECONDS == 10.0
