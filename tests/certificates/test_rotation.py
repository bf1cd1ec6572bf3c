"""Rotation: pairs are replaced whole, and a cluster trusts itself while its authority changes."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from kvorum.certificates.authority import Authority
from kvorum.certificates.reading import certificates_in, key_in
from kvorum.certificates.rotation import announce, finish, next_step, present, replace, rotate
from kvorum.model.errors import ConfigError
from kvorum.tls.faults import TlsFault
from kvorum.tls.files import TlsFiles
from kvorum.tls.node_tls import NodeTls


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The authority of a cluster with two nodes and a client."""
    authority = Authority.create(tmp_path / "certs", "shop")
    for name in ("n1", "n2"):
        authority.issue_node(name, [f"{name}.example", "10.0.0.1"])
    authority.issue_client("app")
    return tmp_path / "certs"


def contents(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


def settle(directory: Path) -> None:
    """As if nodes had had the time to read the files."""
    earlier = time.time() - 60
    for file in directory.glob("*.crt"):
        os.utime(file, (earlier, earlier))


def fits(directory: Path, stem: str) -> bool:
    certificate, key = directory / f"{stem}.crt", directory / f"{stem}.key"
    (found,) = certificates_in(certificate.read_bytes(), certificate)
    return found.public_key() == key_in(key.read_bytes(), key).public_key()


def link(dialing: Path, accepting: Path) -> None:
    """A handshake of the node n1, whose files are in `dialing`, with n2. Raises TlsFault."""
    first = NodeTls(TlsFiles(dialing, "n1"), "shop", lambda _serial: False).dialing_end()
    second = NodeTls(TlsFiles(accepting, "n2"), "shop", lambda _serial: False).accepting_end()
    one, other = first.stream(), second.stream()
    one.shake(b"")
    while one.has_more_to_say or other.has_more_to_say:
        other.shake(one.take())
        if other.has_more_to_say:
            one.shake(other.take())
    assert first.certified(one) is not None
    assert second.certified(other) is not None


def test_what_is_there_is_issued_anew_for_the_same_hosts(directory: Path) -> None:
    before = contents(directory)
    authority = Authority.open(directory)
    node, client = rotate(authority, ["n1", "client-app"])
    assert node.issued.hosts == ("n1.example", "10.0.0.1")
    assert client.issued.certified.uri == "kvorum://shop/client/app"
    after = contents(directory)
    changed = {name for name, data in after.items() if before[name] != data}
    assert changed == {"n1.crt", "n1.key", "client-app.crt", "client-app.key"}
    assert fits(directory, "n1")
    assert node.replaced != node.issued.certified.serial
    assert present(authority.directory, "n1").certified == node.issued.certified


def test_a_certificate_in_the_place_of_another_is_not_rotated(directory: Path) -> None:
    for kind in ("crt", "key"):
        shutil.copy(directory / f"n2.{kind}", directory / f"n1.{kind}")
    before = contents(directory)
    with pytest.raises(ConfigError, match=r"n1\.crt is for kvorum://shop/node/n2"):
        rotate(Authority.open(directory), ["client-app", "n1"])
    assert contents(directory) == before


def test_a_file_that_cannot_be_written_leaves_the_pair_as_it_was(directory: Path) -> None:
    before = contents(directory)
    in_the_way = directory / ".n1.crt.new"
    in_the_way.mkdir()
    with pytest.raises(ConfigError, match=r"Cannot write .*n1\.crt"):
        rotate(Authority.open(directory), ["n1"])
    in_the_way.rmdir()
    assert contents(directory) == before


def test_a_cluster_trusts_itself_at_each_step_to_a_new_authority(
    directory: Path, tmp_path: Path
) -> None:
    stages = [directory, *(tmp_path / f"step{number}" for number in (1, 2, 3))]
    shutil.copytree(directory, tmp_path / "step0")
    stages[0] = tmp_path / "step0"
    assert next_step(directory) == "announce"
    announce(directory)
    shutil.copytree(directory, stages[1])
    settle(directory)
    assert next_step(directory) == "replace"
    assert len(replace(directory)) == 3
    shutil.copytree(directory, stages[2])
    settle(directory)
    assert next_step(directory) is None
    finish(directory)
    shutil.copytree(directory, stages[3])
    for one in range(4):
        for other in range(4):
            if abs(one - other) <= 1:
                link(stages[one], stages[other])
    with pytest.raises(TlsFault):
        link(stages[0], stages[3])
    assert next_step(directory) == "announce"
    assert not (directory / "ca-next.key").exists()


def test_the_old_authority_issues_until_it_is_replaced(directory: Path) -> None:
    old = Authority.open(directory).certificate
    announce(directory)
    assert Authority.open(directory).certificate == old
    settle(directory)
    replace(directory)
    assert Authority.open(directory).certificate != old


def test_a_new_authority_that_was_interrupted_is_taken_up_again(directory: Path) -> None:
    announce(directory)
    Authority.create(directory.parent / "other", "shop")
    # The key was replaced, and ca.crt was not.
    shutil.copy(directory.parent / "other" / "ca.crt", directory / "ca.crt")
    shutil.copy(directory.parent / "other" / "ca.key", directory / "ca.key")
    assert next_step(directory) == "announce"
    announce(directory)
    assert next_step(directory) == "replace"


def test_issuing_that_was_interrupted_is_taken_up_again(directory: Path) -> None:
    announce(directory)
    settle(directory)
    in_the_way = directory / ".n2.crt.new"
    in_the_way.mkdir()
    with pytest.raises(ConfigError, match=r"n2\.crt"):
        replace(directory)
    in_the_way.rmdir()
    assert next_step(directory) == "replace"
    settle(directory)
    with pytest.raises(ConfigError, match=r"n2\.crt is still of the authority that is to go"):
        finish(directory)
    assert [one.issued.certified.name for one in replace(directory)] == ["n2"]
    settle(directory)
    finish(directory)


def test_a_step_waits_for_the_one_before(directory: Path) -> None:
    announce(directory)
    before = contents(directory)
    with pytest.raises(ConfigError, match="less than 5 seconds ago"):
        replace(directory)
    assert contents(directory) == before
    settle(directory)
    replace(directory)
    before = contents(directory)
    with pytest.raises(ConfigError, match="less than 5 seconds ago"):
        finish(directory)
    assert contents(directory) == before


def test_steps_in_the_wrong_order_are_refused(directory: Path) -> None:
    before = contents(directory)
    with pytest.raises(ConfigError, match="No authority is being replaced"):
        finish(directory)
    assert contents(directory) == before
    announce(directory)
    before = contents(directory)
    with pytest.raises(ConfigError, match="has issued nothing yet"):
        finish(directory)
    assert contents(directory) == before


def test_an_authority_whose_key_is_lost_is_replaced(directory: Path) -> None:
    (directory / "ca.key").unlink()
    announce(directory)
    settle(directory)
    replace(directory)
    settle(directory)
    finish(directory)
    Authority.open(directory).issue_node("n3", ["n3.example"])
