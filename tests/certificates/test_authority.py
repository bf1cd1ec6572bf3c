"""The private authority: OpenSSL accepts what it issues, and its files are kept from others."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from kvorum.certificates.authority import Authority
from kvorum.certificates.cluster import issue_for
from kvorum.certificates.reading import certificates_in, certified_name, hosts_of
from kvorum.model.errors import ConfigError
from kvorum.model.topology import NodeSpec, Topology

NODES = (
    NodeSpec(name="n1", http="127.0.0.1:7400", peer="127.0.0.1:7500"),
    NodeSpec(name="n2", http="db2.example:7400", peer="10.0.0.2:7500"),
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_cluster_has_an_authority_and_a_certificate_for_each_node(tmp_path: Path) -> None:
    issued = issue_for(Topology(cluster="shop", nodes=NODES), tmp_path / "certs")
    assert [one.certified.uri for one in issued] == [
        "kvorum://shop/node/n1",
        "kvorum://shop/node/n2",
    ]
    for one in issued:
        (certificate,) = certificates_in(one.certificate.read_bytes(), one.certificate)
        assert certified_name(certificate, one.certificate) == one.certified
        assert mode(one.key) == 0o600
    assert hosts_of(certificate) == ["db2.example", "10.0.0.2"]
    assert mode(tmp_path / "certs") == 0o700
    assert mode(tmp_path / "certs" / "ca.key") == 0o600


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
def test_openssl_accepts_what_is_issued(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path, "shop")
    node, client = authority.issue_node("n1", ["127.0.0.1"]), authority.issue_client("app")
    for one, purpose in ((node, "sslserver"), (node, "sslclient"), (client, "sslclient")):
        command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile"]
        subprocess.run([*command, tmp_path / "ca.crt", one.certificate], check=True)


def test_a_certificate_does_not_outlive_its_authority(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path, "shop", days=10)
    assert authority.issue_node("n1", ["127.0.0.1"], days=400).expires == (
        authority.certificate.not_valid_after_utc
    )


def test_a_second_authority_is_refused(tmp_path: Path) -> None:
    Authority.create(tmp_path, "shop")
    before = (tmp_path / "ca.key").read_bytes()
    with pytest.raises(ConfigError, match="has an authority already"):
        Authority.create(tmp_path, "shop")
    assert (tmp_path / "ca.key").read_bytes() == before


def test_bad_names_and_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no name"):
        Authority.create(tmp_path, "a shop")
    with pytest.raises(ConfigError, match="kvorum certs init"):
        Authority.open(tmp_path)
    authority = Authority.create(tmp_path, "shop")
    with pytest.raises(ConfigError, match="no name"):
        authority.issue_node("n/1", ["127.0.0.1"])
    with pytest.raises(ConfigError, match="no host name"):
        authority.issue_node("n1", ["bücher.example"])
    with pytest.raises(ConfigError, match="cannot be valid for 0 days"):
        authority.issue_client("app", days=0)
    assert not list(tmp_path.glob("n*")) + list(tmp_path.glob("client*"))
    (tmp_path / "ca.crt").write_text("-----BEGIN nonsense")
    with pytest.raises(ConfigError, match=r"ca\.crt holds no certificate"):
        Authority.open(tmp_path)


def test_the_key_of_another_authority_is_refused(tmp_path: Path) -> None:
    Authority.create(tmp_path / "a", "shop")
    Authority.create(tmp_path / "b", "shop")
    shutil.copy(tmp_path / "b" / "ca.key", tmp_path / "a" / "ca.key")
    with pytest.raises(ConfigError, match="does not fit"):
        Authority.open(tmp_path / "a")
