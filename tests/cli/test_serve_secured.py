"""`kvorum serve --certs`, alone: what it makes, for whom, and that a refusal makes nothing."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest
from kit.program import kvorum, refusal

from kvorum.certificates.authority import Authority
from kvorum.cli.errors import ExitCode
from kvorum.devcluster.ports import free_port


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    Authority.create(tmp_path / "certs", "shop").issue_node("n1", ["127.0.0.1"])
    return tmp_path / "certs"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_directory_and_its_secrets_are_for_the_owner_alone(tmp_path: Path, certs: Path) -> None:
    data, port = tmp_path / "data", free_port(1)
    words = ("serve", "--data-dir", data, "--port", port, "--certs", certs)
    with kvorum(*words) as node:
        assert node.line() == f"n1 ready: https://127.0.0.1:{port}, data {data}"
        assert node.stopped() == 0
    assert mode(data) == 0o700
    assert [mode(data / name) for name in ("cluster.secret", "admin.token")] == [0o600] * 2
    secret = (data / "cluster.secret").read_bytes()
    (data / "admin.token").unlink()
    with kvorum(*words) as node:
        node.line()
    assert (data / "cluster.secret").read_bytes() == secret
    assert not (data / "admin.token").exists()


def test_a_refused_start_makes_nothing(tmp_path: Path, certs: Path) -> None:
    data, port = tmp_path / "data", free_port(1)
    words = ("serve", "--data-dir", data, "--port", port, "--certs", certs)
    assert refusal(*words, "--insecure")[0] == ExitCode.USAGE
    with socket.create_server(("127.0.0.1", port)):
        assert refusal(*words)[0] == ExitCode.CONFIG
    assert not data.exists()


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path, certs: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "cluster.secret").write_text("0123456789abcdef")
    (data / "cluster.secret").chmod(0o644)
    status, line = refusal("serve", "--data-dir", data, "--port", free_port(1), "--certs", certs)
    assert status == ExitCode.CONFIG
    assert "chmod 600" in line
    assert "0123456789abcdef" not in line
