from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kvorum.cli.servers.topology_file import SECRET_BYTES_MAX, TOPOLOGY_BYTES_MAX, load_topology
from kvorum.model.errors import ConfigError
from kvorum.model.topology import Topology
from kvorum.model.topology_toml import parse_topology

ONE_NODE = 'cluster = "demo"\nnodes = [{name = "n1", http = "127.0.0.1:7400"}]\n'
WITH_SECRET = f'secret_file = "cluster.secret"\n{ONE_NODE}'
SECRET = b"0123456789abcdef"
OTHER_SECRET = b"another 16 bytes, at least"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cluster.toml"


def write_secret(file: Path, data: bytes, mode: int = 0o600) -> Path:
    path = file.with_name("cluster.secret")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
    return path


def refusal(file: Path, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_topology(file, environ or {})
    return caught.value.message


def test_a_file_is_read(file: Path) -> None:
    file.write_text(ONE_NODE)
    assert load_topology(file, {}) == parse_topology(ONE_NODE, "text")


@pytest.mark.parametrize("line_break", [b"", b"\n", b"\r\n"])
def test_the_secret_is_read_beside_the_file_without_its_line_break(
    file: Path, line_break: bytes
) -> None:
    file.write_text(WITH_SECRET)
    write_secret(file, SECRET + line_break)
    assert load_topology(file, {}).secret == SECRET


def test_a_secret_may_hold_any_bytes(file: Path) -> None:
    file.write_text(WITH_SECRET)
    secret = bytes(range(255, 200, -1)) + b"\n\n"
    write_secret(file, secret)
    assert load_topology(file, {}).secret == secret[:-1]


def test_the_environment_overrides_the_secret_file(file: Path) -> None:
    file.write_text(WITH_SECRET)
    environ = {"KVORUM_CLUSTER_SECRET": OTHER_SECRET.decode()}
    assert load_topology(file, environ).secret == OTHER_SECRET
    write_secret(file, SECRET, mode=0o644)
    assert load_topology(file, environ).secret == OTHER_SECRET


def test_the_environment_overrides_the_derived_secret(file: Path) -> None:
    file.write_text(ONE_NODE)
    environ = {"KVORUM_CLUSTER_SECRET": OTHER_SECRET.decode() + "\n"}
    assert load_topology(file, environ).secret == OTHER_SECRET


def test_the_environment_of_the_process_is_the_default(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(ONE_NODE)
    monkeypatch.setenv("KVORUM_CLUSTER_SECRET", OTHER_SECRET.decode())
    assert load_topology(file).secret == OTHER_SECRET


def test_the_secret_that_lies_beside_the_file_need_not_be_named(file: Path) -> None:
    file.write_text(ONE_NODE)
    assert load_topology(file, {}).secret_is_derived
    write_secret(file, SECRET)
    topology = load_topology(file, {})
    assert topology.secret == SECRET
    assert not topology.secret_is_derived


def test_a_secret_beside_the_file_that_others_may_touch_is_refused(file: Path) -> None:
    file.write_text(ONE_NODE)
    write_secret(file, SECRET, mode=0o644)
    assert "mode is 0644" in refusal(file)


def test_the_secret_file_may_be_anywhere(file: Path, tmp_path: Path) -> None:
    file.write_text(WITH_SECRET)
    write_secret(file, SECRET)
    other = write_secret(tmp_path / "elsewhere" / "x", OTHER_SECRET)
    environ = {"KVORUM_CLUSTER_SECRET_FILE": str(other)}
    assert load_topology(file, environ).secret == OTHER_SECRET
    assert load_topology(file, environ | {"KVORUM_CLUSTER_SECRET": "x" * 16}).secret == b"x" * 16
    named = {"KVORUM_CLUSTER_SECRET": "x" * 16, "KVORUM_CLUSTER_SECRET_FILE": "missing"}
    assert load_topology(file, named, secret_file=other).secret == OTHER_SECRET
    other.chmod(0o640)
    assert "chmod 600" in refusal(file, environ)
    other.unlink()
    assert f"{other} as a secret file" in refusal(file, environ)


@pytest.mark.parametrize("value", ["", "short", "x" * (SECRET_BYTES_MAX + 1)])
def test_a_secret_in_the_environment_of_the_wrong_size_is_refused(file: Path, value: str) -> None:
    file.write_text(ONE_NODE)
    said = refusal(file, {"KVORUM_CLUSTER_SECRET": value})
    assert "KVORUM_CLUSTER_SECRET" in said
    assert "16 to 4096 bytes" in said


@pytest.mark.parametrize("size", [0, 15, SECRET_BYTES_MAX + 1, 100_000])
def test_a_secret_file_of_the_wrong_size_is_refused(file: Path, size: int) -> None:
    file.write_text(WITH_SECRET)
    path = write_secret(file, b"x" * size)
    said = refusal(file)
    assert str(path) in said
    assert "16 to 4096 bytes" in said


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o602, 0o644, 0o777])
def test_a_secret_that_others_may_touch_is_refused(file: Path, mode: int) -> None:
    file.write_text(WITH_SECRET)
    path = write_secret(file, SECRET, mode)
    said = refusal(file)
    assert f"{path}, whose mode is 0{mode:o}" in said
    assert f"chmod 600 {path}" in said
    assert SECRET.decode() not in said


def test_a_command_that_is_shown_can_be_pasted(tmp_path: Path) -> None:
    file = tmp_path / "kept dir" / "cluster.toml"
    file.parent.mkdir()
    file.write_text(WITH_SECRET)
    path = write_secret(file, SECRET, 0o644)
    assert f"chmod 600 '{path}'`" in refusal(file)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_secret_that_only_its_owner_may_touch_is_read(file: Path, mode: int) -> None:
    file.write_text(WITH_SECRET)
    write_secret(file, SECRET, mode)
    assert load_topology(file, {}).secret == SECRET


def nothing(path: Path) -> None:
    """Leave nothing there."""


@pytest.mark.parametrize("make", [nothing, Path.mkdir, os.mkfifo])
def test_what_is_no_plain_file_is_refused(file: Path, make: Callable[[Path], object]) -> None:
    make(file)
    assert f"{file} as a topology file" in refusal(file)
    other = file.with_name("other.toml")
    other.write_text(WITH_SECRET)
    secret = file.with_name("cluster.secret")
    make(secret)
    assert f"{secret} as a secret file" in refusal(other)


@pytest.mark.parametrize("named", ["", "nul\\u0000byte"])
def test_a_secret_file_that_cannot_be_named_is_refused(file: Path, named: str) -> None:
    file.write_text(WITH_SECRET.replace("cluster.secret", named))
    assert "as a secret file" in refusal(file)


def test_the_file_is_named_where_its_content_is_wrong(file: Path) -> None:
    for text in ("cluster =", ONE_NODE.replace("n1", "n 1"), ONE_NODE + "partitions = 3"):
        file.write_text(text)
        assert refusal(file).startswith(f"{file}: ")


def test_bytes_that_are_no_text_are_refused(file: Path) -> None:
    file.write_bytes(b'cluster = "\xff"')
    assert refusal(file).startswith(f"{file} is not UTF-8")


def test_a_huge_file_is_refused_and_the_largest_is_read(file: Path) -> None:
    padding = "#" * (TOPOLOGY_BYTES_MAX - len(ONE_NODE))
    file.write_text(ONE_NODE + padding)
    assert isinstance(load_topology(file, {}), Topology)
    file.write_text(ONE_NODE + padding + "#")
    assert "longer than a topology file may be" in refusal(file)
