"""kvorum certs: what is written where, what is printed, what is refused with nothing changed."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from kit.security import FakeSecurity
from kit.security_server import SecurityServer, serving

from kvorum.certificates.directory import CertificateDirectory
from kvorum.certificates.rotation import present
from kvorum.cli import main
from kvorum.cli.errors import ExitCode
from kvorum.model.security_values import Revocation

GUIDE = (Path(__file__).parents[2] / "docs" / "certificates.md").read_text()
EXAMPLES = re.findall(r"^\$ kvorum ((?:certs|serve|user) [^|<>\n]+)", GUIDE, re.MULTILINE)
CLUSTER_FILE = """
cluster = "shop"
nodes = [
    {name = "n1", http = "db1.example:7400", peer = "10.0.0.1:7500"},
    {name = "n2", http = "db2.example:7400", peer = "10.0.0.2:7500"},
]
"""


def certs(directory: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["certs", *words, "--dir", str(directory)])


def done(directory: Path, *words: str) -> Result:
    result = certs(directory, *words)
    assert result.exit_code == 0, result.output
    assert "PRIVATE KEY" not in result.output
    return result


def document(directory: Path, *words: str) -> Any:
    return json.loads(done(directory, *words, "-o", "json").stdout)


def contents(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.glob("*")}


def refused(directory: Path, code: int, *words: str) -> str:
    """The one line on stderr; nothing was changed, and nothing is on stdout."""
    before = contents(directory)
    result = certs(directory, *words)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    assert contents(directory) == before
    return result.stderr


def hosts(directory: Path, name: str) -> list[str]:
    return present(CertificateDirectory(directory), name).hosts


def serial(directory: Path, stem: str) -> str:
    return present(CertificateDirectory(directory), stem).certified.serial


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """That of the authority of the cluster `shop`, which has issued nothing."""
    done(tmp_path / "certs", "init", "--cluster", "shop")
    return tmp_path / "certs"


@pytest.fixture
def cluster_file(tmp_path: Path) -> Path:
    file = tmp_path / "cluster.toml"
    file.write_text(CLUSTER_FILE)
    return file


@pytest.fixture
def cluster() -> Iterator[SecurityServer]:
    with serving(FakeSecurity()) as cluster:
        yield cluster


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_guide_is_a_command(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cluster.toml").write_text(CLUSTER_FILE)
    words = shlex.split(example, comments=True)
    command: click.Command = main
    ctx = click.Context(main)
    while isinstance(command, click.Group):
        found = command.get_command(ctx, words.pop(0))
        assert found is not None
        command = found
    command.make_context(command.name, words, parent=ctx).close()


# Making an authority


def test_init_says_what_it_made_and_what_is_next(tmp_path: Path) -> None:
    directory = tmp_path / "made" / "certs"
    old = os.umask(0)
    try:
        shown = done(directory, "init", "--cluster", "shop").stdout
    finally:
        os.umask(old)
    assert f"authority of shop: {directory}/ca.crt and {directory}/ca.key" in shown
    assert "kvorum certs issue NODE" in shown
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / "ca.key").stat().st_mode) == 0o600
    made = document(tmp_path / "other", "init", "--cluster", "shop", "--days", "10")
    assert 9 < (made["expires_ms"] / 1000 - time.time()) / 86_400 < 11
    assert made["cluster"] == "shop"


def test_init_where_there_is_something_already(directory: Path) -> None:
    words = ("init", "--cluster", "shop")
    assert "has an authority already" in refused(directory, ExitCode.CONFIG, *words)
    (directory / "ca.crt").unlink()
    message = refused(directory, ExitCode.CONFIG, *words)
    assert "without its certificate ca.crt" in message
    assert f"delete {directory}/ca.key" in message


def test_init_where_others_may_write(tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    message = refused(open_to_all, ExitCode.CONFIG, "init", "--cluster", "shop")
    assert f"chmod 700 {open_to_all}" in message


def test_init_where_no_directory_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = refused(tmp_path / "file" / "certs", ExitCode.CONFIG, "init", "--cluster", "shop")
    assert "Cannot make the directory" in message


def test_init_for_a_cluster_whose_name_is_none_makes_no_directory(tmp_path: Path) -> None:
    message = refused(tmp_path / "certs", ExitCode.CONFIG, "init", "--cluster", "a shop")
    assert "'a shop' is no name" in message
    assert not (tmp_path / "certs").exists()


# Issuing


def test_a_node_with_the_hosts_that_are_given(directory: Path) -> None:
    words = ("issue", "n1", "--host", "db1.example", "--host", "[fd00::1]")
    shown = done(directory, *words).stdout
    assert f"copy {directory}/ca.crt, {directory}/n1.crt and {directory}/n1.key" in shown
    assert hosts(directory, "n1") == ["db1.example", "fd00::1"]


def test_all_nodes_of_a_cluster_file_and_later_those_it_has_more(
    directory: Path, cluster_file: Path
) -> None:
    words = ("issue", "--cluster-file", str(cluster_file))
    assert [one["name"] for one in document(directory, *words)["certificates"]] == ["n1", "n2"]
    assert hosts(directory, "n2") == ["db2.example", "10.0.0.2"]
    first = contents(directory)
    more = '{name = "n3", http = "db3.example:7400", peer = "10.0.0.3:7500"},\n]'
    cluster_file.write_text(CLUSTER_FILE.replace("]", more))
    result = certs(directory, *words, "-o", "json")
    assert [one["name"] for one in json.loads(result.stdout)["certificates"]] == ["n3"]
    assert "n1, n2 had certificates already" in result.stderr
    later = contents(directory)
    assert {name: later[name] for name in first} == first
    renewed = document(directory, *words, "--renew")["certificates"]
    assert [one["name"] for one in renewed] == ["n1", "n2", "n3"]


def test_one_node_of_a_cluster_file(directory: Path, cluster_file: Path) -> None:
    done(directory, "issue", "n1", "--cluster-file", str(cluster_file), "--host", "extra.example")
    assert hosts(directory, "n1") == ["extra.example", "db1.example", "10.0.0.1"]
    words = ("issue", "n9", "--cluster-file", str(cluster_file))
    assert "has no node 'n9'" in refused(directory, ExitCode.CONFIG, *words)


def test_a_cluster_file_of_another_cluster(directory: Path, cluster_file: Path) -> None:
    cluster_file.write_text(CLUSTER_FILE.replace("shop", "bank"))
    words = ("issue", "--cluster-file", str(cluster_file))
    message = refused(directory, ExitCode.CONFIG, *words)
    assert "is of the cluster 'bank'" in message


def test_a_client_and_what_it_is_used_with(directory: Path) -> None:
    shown = done(directory, "issue", "--client", "billing").stdout
    assert "?ca=ca.crt&cert=client-billing.crt&key=client-billing.key" in shown
    assert "kvorum user add billing --no-password" in shown


def test_nothing_is_replaced_without_being_said(directory: Path, cluster_file: Path) -> None:
    done(directory, "issue", "n1", "--host", "db1.example")
    done(directory, "issue", "--client", "app")
    for words in (
        ("n1", "--host", "db9.example"),
        ("n2", "n1", "--cluster-file", str(cluster_file)),
        ("--client", "other", "--client", "app"),
    ):
        message = refused(directory, ExitCode.CONFIG, "issue", *words)
        assert "--renew replaces it" in message


def test_what_is_renewed_keeps_its_hosts(directory: Path) -> None:
    done(directory, "issue", "n1", "--host", "db1.example")
    first = serial(directory, "n1")
    done(directory, "issue", "n1", "--renew")
    assert hosts(directory, "n1") == ["db1.example"]
    assert serial(directory, "n1") != first
    done(directory, "issue", "n1", "--renew", "--host", "db2.example")
    assert hosts(directory, "n1") == ["db2.example"]


def test_what_would_outlive_the_authority_is_cut_short_and_said(tmp_path: Path) -> None:
    done(tmp_path / "certs", "init", "--cluster", "shop", "--days", "10")
    result = done(tmp_path / "certs", "issue", "n1", "--host", "db1.example")
    assert "n1: expires earlier than asked for, with the authority" in result.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("issue",), ExitCode.USAGE, "Name a node"),
        (("issue", "n1"), ExitCode.USAGE, "with --host or --cluster-file"),
        (("issue", "n1", "n2", "--host", "a"), ExitCode.USAGE, "--host needs one node"),
        (("issue", "n1", "--host", "a:7400"), ExitCode.CONFIG, "without a port"),
        (("issue", "n/1", "--host", "a"), ExitCode.CONFIG, "node: 'n/1' is no name"),
        (("issue", "--client", "../x"), ExitCode.CONFIG, "client: '../x' is no name"),
        (("issue", "ca", "--host", "a"), ExitCode.CONFIG, "'ca' is no name for a node"),
        (("issue", "client-x", "--host", "a"), ExitCode.CONFIG, "'client-x' is no name for"),
        (("issue", "n1", "--host", "a", "--days", "0"), ExitCode.USAGE, "--days"),
        (("issue", "--client", "x", "n1"), ExitCode.USAGE, "with --host"),
        (("rotate",), ExitCode.CONFIG, "has issued nothing that could be rotated"),
        (("rotate", "n1"), ExitCode.CONFIG, "There is no n1.crt"),
        (("rotate", "--finish"), ExitCode.USAGE, "--finish needs --authority"),
        (("rotate", "--authority", "n1"), ExitCode.USAGE, "name none"),
    ],
)
def test_what_makes_no_sense_is_refused(
    directory: Path, words: tuple[str, ...], code: ExitCode, message: str
) -> None:
    assert message in refused(directory, code, *words)


@pytest.mark.parametrize(
    ("file", "data", "message"),
    [
        ("ca.crt", b"-----BEGIN CERTIFICATE-----\nAAAA", "ca.crt holds no certificate"),
        ("ca.key", b"-----BEGIN PRIVATE KEY-----\nAAAA", "ca.key holds no private key"),
        ("ca.key", None, "There is no ca.key"),
        ("ca.crt", None, "There is no ca.crt"),
    ],
)
def test_an_authority_that_cannot_be_read(
    directory: Path, file: str, data: bytes | None, message: str
) -> None:
    if data is None:
        (directory / file).unlink()
    else:
        (directory / file).write_bytes(data)
    shown = refused(directory, ExitCode.CONFIG, "issue", "n1", "--host", "db1.example")
    assert message in shown
    assert "AAAA" not in shown


def test_an_authority_whose_key_others_may_read(directory: Path) -> None:
    (directory / "ca.key").chmod(0o644)
    message = refused(directory, ExitCode.CONFIG, "issue", "n1", "--host", "db1.example")
    assert f"chmod 600 {directory}/ca.key" in message


def test_no_directory(tmp_path: Path) -> None:
    for words in (("issue", "n1", "--host", "a"), ("rotate",), ("list",)):
        result = certs(tmp_path / "nowhere", *words)
        assert result.exit_code == ExitCode.CONFIG
        assert str(tmp_path / "nowhere") in result.stderr
        assert "kvorum certs init" in result.stderr


def test_two_commands_at_once(directory: Path) -> None:
    with CertificateDirectory(directory).locked():
        message = refused(directory, ExitCode.CONFIG, "issue", "n1", "--host", "a")
    assert "Another 'kvorum certs' is at work" in message


# Listing and rotating


def test_a_list_for_people_and_for_programs(directory: Path, cluster_file: Path) -> None:
    done(directory, "issue", "--cluster-file", str(cluster_file))
    done(directory, "issue", "--client", "app", "--days", "5")
    shown = done(directory, "list").stdout
    assert re.search(r"^app +client .* 4 +expires soon +[0-9a-f]+ *$", shown, re.MULTILINE)
    found = {one["name"]: one for one in document(directory, "list")["certificates"]}
    assert list(found) == ["ca", "n1", "n2", "app"]
    assert found["n1"]["serial"] == serial(directory, "n1")
    assert found["n1"]["hosts"] == ["db1.example", "10.0.0.1"]
    assert found["n1"]["not_before_ms"] < time.time() * 1000 < found["n1"]["expires_ms"]
    assert found["app"]["warnings"] == ["expires soon"]


def test_a_list_ends_with_1_if_something_cannot_be_used(
    directory: Path, cluster_file: Path
) -> None:
    done(directory, "issue", "--cluster-file", str(cluster_file))
    (directory / "n2.crt").write_bytes((directory / "n1.crt").read_bytes())
    result = certs(directory, "list")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "is for the node n1, the key does not fit" in result.stdout


def test_rotation_shows_what_was_replaced(directory: Path, cluster_file: Path) -> None:
    done(directory, "issue", "--cluster-file", str(cluster_file))
    olds = {name: serial(directory, name) for name in ("n1", "n2")}
    rotated = document(directory, "rotate")["certificates"]
    assert {one["name"]: one["replaces"] for one in rotated} == olds
    assert olds["n1"] not in done(directory, "rotate", "n1").stdout
    assert "kvorum certs revoke --serial" in done(directory, "rotate", "n2").stdout


def test_another_authority_in_three_steps(directory: Path, cluster_file: Path) -> None:
    def settle() -> None:
        for file in directory.glob("*.crt"):
            os.utime(file, (1, 1))

    done(directory, "issue", "--cluster-file", str(cluster_file))
    shown = done(directory, "rotate", "--authority").stdout
    assert "step 1 of 3" in shown
    assert f"Copy {directory}/ca.crt to all nodes and clients" in shown
    assert "seconds ago" in refused(directory, ExitCode.CONFIG, "rotate", "--authority")
    settle()
    shown = done(directory, "rotate", "--authority").stdout
    assert "step 2 of 3" in shown
    assert "kvorum certs rotate --authority --finish" in shown
    settle()
    assert "--finish" in refused(directory, ExitCode.CONFIG, "rotate", "--authority")
    finished = document(directory, "rotate", "--authority", "--finish")
    assert finished["step"] == 3
    assert len(finished["dropped"]) == 1
    assert done(directory, "list").exit_code == 0


# Revoking


def revoke(cluster: SecurityServer, directory: Path, *words: str) -> Result:
    return certs(directory, "revoke", *words, "--server", cluster.server)


def revoked(cluster: SecurityServer) -> list[tuple[str, str, int]]:
    found = cluster.security.shared.catalog.values("revocation")
    return [(one.serial, one.name, one.until_ms) for one in found if isinstance(one, Revocation)]


def test_a_node_and_a_client_by_their_names(cluster: SecurityServer, directory: Path) -> None:
    done(directory, "issue", "n1", "--host", "db1.example")
    issued = document(directory, "issue", "--client", "app")["certificates"][0]
    result = revoke(cluster, directory, "--client", "app", "--yes")
    assert result.exit_code == 0, result.output
    assert f"certificate {issued['serial']} of app revoked" in result.stdout
    assert revoked(cluster) == [(issued["serial"], "app", issued["expires_ms"])]
    assert "n3 gets it when it is back" in result.stderr
    assert revoke(cluster, directory, "n1", "--yes").exit_code == 0
    listed = CliRunner().invoke(main, ["certs", "revocations", "--server", cluster.server])
    assert issued["serial"] in listed.stdout
    assert serial(directory, "n1") in listed.stdout


def test_by_its_number_if_the_file_is_gone(cluster: SecurityServer, directory: Path) -> None:
    done(directory, "issue", "n1", "--host", "db1.example")
    here = serial(directory, "n1")
    shown = ":".join(re.findall("..?", here.upper()))
    assert revoke(cluster, directory, "--serial", here, "--yes").exit_code == 0
    assert revoke(cluster, directory, "--serial", f"00{shown}", "--yes").exit_code == 0
    assert [one[:2] for one in revoked(cluster)] == [(here, "n1")]
    result = revoke(cluster, directory, "--serial", "abc123", "--yes")
    assert result.exit_code == ExitCode.CONFIG
    assert "Say whose it was" in result.stderr
    assert revoke(cluster, directory, "n2", "--serial", "abc123", "--yes").exit_code == 0
    assert revoke(cluster, directory, "--client", "x", "--serial", "abc124", "--yes").exit_code == 0
    assert {one[:2] for one in revoked(cluster)} == {
        (here, "n1"),
        ("abc123", "n2"),
        ("abc124", "x"),
    }


def test_nothing_is_revoked_without_a_yes(cluster: SecurityServer, directory: Path) -> None:
    done(directory, "issue", "n1", "--host", "db1.example")
    assert revoke(cluster, directory, "n1").exit_code == ExitCode.REFUSED
    assert revoke(cluster, directory, "--yes").exit_code == ExitCode.USAGE
    assert revoke(cluster, directory, "n1", "--client", "x", "--yes").exit_code == ExitCode.USAGE
    assert revoke(cluster, directory, "n7", "--yes").exit_code == ExitCode.CONFIG
    assert revoke(cluster, directory, "n1", "--serial", "xyz", "--yes").exit_code == ExitCode.USAGE
    assert revoked(cluster) == []
