"""The private authority: OpenSSL accepts what it issues, and its files are kept from others."""

from __future__ import annotations

import shutil
import ssl
import stat
import subprocess
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kvorum.certificates.authority import Authority
from kvorum.certificates.cluster import issue_for
from kvorum.certificates.directory import CertificateDirectory
from kvorum.certificates.profile import authority_certificate, new_key, private_bytes
from kvorum.certificates.reading import certificates_in, certified_name, hosts_of, public_bytes
from kvorum.model.errors import ConfigError
from kvorum.model.topology import NodeSpec, Topology

DAY = timedelta(days=1)
TLS_CLIENT = ssl.PROTOCOL_TLS_CLIENT
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


def of_another_time(directory: Path, begins: timedelta, ends: timedelta) -> None:
    """Put an authority there that is valid from `begins` to `ends` from now."""
    Authority.create(directory, "shop")
    now, key = datetime.now(UTC), new_key()
    certificate = authority_certificate("shop", key, now + begins, now + ends)
    (directory / "ca.key").write_bytes(private_bytes(key))
    (directory / "ca.crt").write_bytes(public_bytes(certificate))


def test_an_authority_that_has_expired_or_is_not_valid_yet_issues_nothing(tmp_path: Path) -> None:
    of_another_time(tmp_path / "old", -20 * DAY, -DAY)
    with pytest.raises(ConfigError, match=r"old/ca\.crt has expired at .* rotate --authority"):
        Authority.open(tmp_path / "old").issue_client("app")
    of_another_time(tmp_path / "new", DAY, 20 * DAY)
    with pytest.raises(ConfigError, match=r"new/ca\.crt is valid from .* Correct the clock"):
        Authority.open(tmp_path / "new").issue_client("app")
    assert not list(tmp_path.glob("*/client*"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "0.0.0.0"])
def test_a_node_on_this_machine_is_certified_for_all_its_loopback_addresses(
    tmp_path: Path, host: str
) -> None:
    issued = Authority.create(tmp_path, "shop").issue_node("n1", [host])
    assert {"localhost", "127.0.0.1", "::1"} <= set(issued.hosts)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "db1.example", "fd00::1"])
def test_the_ssl_module_accepts_what_is_issued_at_its_strictest(tmp_path: Path, host: str) -> None:
    authority = Authority.create(tmp_path, "shop")
    hosts = ["localhost", "db1.example", "fd00::1"]
    node, client = authority.issue_node("n1", hosts), authority.issue_client("app")
    accepts, dials = (ssl.SSLContext(kind) for kind in (ssl.PROTOCOL_TLS_SERVER, TLS_CLIENT))
    for context, one in ((accepts, node), (dials, client)):
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(tmp_path / "ca.crt")
        context.load_cert_chain(one.certificate, one.key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = accepts.wrap_bio(to_server, to_client, server_side=True)
    asking = dials.wrap_bio(to_client, to_server, server_hostname=host)
    for end in (asking, server, asking, server):
        with suppress(ssl.SSLWantReadError):
            end.do_handshake()
    shown = server.getpeercert()
    assert shown is not None
    assert ("URI", client.certified.uri) in shown["subjectAltName"]


def test_clocks_may_differ_by_some_minutes(tmp_path: Path) -> None:
    issued = Authority.create(tmp_path, "shop").issue_client("app")
    for file in (tmp_path / "ca.crt", issued.certificate):
        (certificate,) = certificates_in(file.read_bytes(), file)
        assert certificate.not_valid_before_utc < datetime.now(UTC) - timedelta(minutes=4)


def test_a_key_shows_in_no_repr(tmp_path: Path) -> None:
    files = CertificateDirectory(tmp_path)
    assert "secret" not in repr(files.key_file("n1", b"secret"))


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
