"""What a node refuses to start with, and what a client does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kit.certificates import CLUSTER, DAY, Issued, TestAuthority

from kvorum.model.errors import ConfigError
from kvorum.tls.client import client_context
from kvorum.tls.node_tls import NodeTls

NOW = datetime.now(UTC)


def _with_key_of_another(authority: TestAuthority) -> Issued:
    other = authority.node("n2").files.key.read_bytes()
    issued = authority.node("n1")
    issued.files.key.write_bytes(other)
    return issued


def _readable(authority: TestAuthority) -> Issued:
    issued = authority.node("n1")
    issued.files.key.chmod(0o640)
    return issued


def _broken(authority: TestAuthority) -> Issued:
    issued = authority.node("n1")
    issued.files.certificate.write_text("-----BEGIN CERTIFICATE-----\nabc\n")
    return issued


def _foreign(authority: TestAuthority) -> Issued:
    issued = authority.node("n1")
    authority.ca.write_bytes(TestAuthority(authority.directory / "other").pem)
    return issued


def _missing(authority: TestAuthority) -> Issued:
    issued = authority.node("n1")
    issued.files.key.unlink()
    return issued


BAD: dict[str, tuple[Callable[[TestAuthority], Issued], str]] = {
    "broken": (_broken, r"n1\.crt holds no certificate in PEM"),
    "key": (_with_key_of_another, r"n1\.key does not fit the certificate .*n1\.crt"),
    "readable": (_readable, r"n1\.key may be read by other users.*chmod 600"),
    "missing": (_missing, r"n1\.key cannot be read: No such file"),
    "foreign": (_foreign, r"n1\.crt is of none of the authorities in .*ca\.crt"),
    "expired": (lambda a: a.node("n1", ends=NOW - DAY / 2), r"n1\.crt has expired at"),
    "early": (lambda a: a.node("n1", begins=NOW + DAY / 2), r"n1\.crt is valid from .*the clock"),
    "cluster": (
        lambda a: a.issue("n1", "kvorum://other/node/n1"),
        r"is for kvorum://other/node/n1, and this node needs one for kvorum://orchard/node/n1",
    ),
    "name": (
        lambda a: a.issue("n1", "kvorum://orchard/node/n2"),
        "is for kvorum://orchard/node/n2",
    ),
    "client": (lambda a: a.issue("n1", "kvorum://orchard/client/n1"), "orchard/client/n1, and"),
    "nobody": (lambda a: a.issue("n1", "https://example.org"), "names no node and no client"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_node_refuses_to_use_bad_files_and_says_what_to_do(
    authority: TestAuthority, case: str
) -> None:
    make, message = BAD[case]
    issued = make(authority)
    with pytest.raises(ConfigError, match=message):
        NodeTls(issued.files, CLUSTER, lambda _serial: False)


def test_a_node_knows_when_its_certificate_expires(authority: TestAuthority) -> None:
    ends = NOW.replace(microsecond=0) + 3 * DAY
    tls = NodeTls(authority.node("n1", ends=ends).files, CLUSTER, lambda _serial: False)
    assert tls.expires_ms == int(ends.timestamp() * 1000)
    assert repr(tls) == f"NodeTls('{authority.directory}/n1.crt')"


def test_a_node_trusts_all_authorities_of_a_bundle(authority: TestAuthority) -> None:
    issued = authority.node("n1")
    other = TestAuthority(authority.directory / "other").pem
    authority.ca.write_bytes(other + authority.pem)
    NodeTls(issued.files, CLUSTER, lambda _serial: False)


def test_a_client_says_which_file_is_of_no_use(authority: TestAuthority, tmp_path: Path) -> None:
    ann = authority.client("ann")
    with pytest.raises(ConfigError, match=r"nowhere\.crt is of no use .*ca\.crt of the cluster"):
        client_context(tmp_path / "nowhere.crt")
    with pytest.raises(ConfigError, match=r"has the certificate .* and no key"):
        client_context(authority.ca, ann.files.certificate)
    with pytest.raises(ConfigError, match="of no use together"):
        client_context(authority.ca, ann.files.certificate, authority.node("n1").files.key)
