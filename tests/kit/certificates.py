"""Certificates for tests: of any authority, name and time, made in memory or in a directory."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kvorum.tls.files import TlsFiles

CLUSTER = "orchard"
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Issued:
    """A certificate that lies in a directory with its key."""

    files: TlsFiles
    serial: str

    @property
    def pair(self) -> tuple[Path, Path]:
        return self.files.certificate, self.files.key


class TestAuthority:
    """Issues what it is asked for, be it sensible or not, into `directory`."""

    __test__ = False

    def __init__(self, directory: Path, cluster: str = CLUSTER) -> None:
        self.directory = directory
        self.cluster = cluster
        self._key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{cluster} authority")])
        now = datetime.now(UTC)
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 10 * DAY)
            .not_valid_after(now + 10 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "ca.crt").write_bytes(self.pem)

    @property
    def pem(self) -> bytes:
        return self._certificate.public_bytes(Encoding.PEM)

    @property
    def ca(self) -> Path:
        return self.directory / "ca.crt"

    def node(self, name: str, **changes: object) -> Issued:
        return self.issue(name, f"kvorum://{self.cluster}/node/{name}", **changes)  # type: ignore[arg-type]

    def client(self, name: str, **changes: object) -> Issued:
        uri = f"kvorum://{self.cluster}/client/{name}"
        return self.issue(f"client-{name}", uri, server=False, **changes)  # type: ignore[arg-type]

    def issue(
        self,
        stem: str,
        uri: str,
        *,
        begins: datetime | None = None,
        ends: datetime | None = None,
        server: bool = True,
        hosts: Sequence[str] = ("localhost", "127.0.0.1"),
    ) -> Issued:
        """A certificate for `uri`, in the files `stem`.crt and `stem`.key."""
        now = datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        serial = x509.random_serial_number()
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri)]
        if server:
            usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
            names += [_general_name(host) for host in hosts]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, stem)]))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(serial)
            .not_valid_before(begins or now - DAY)
            .not_valid_after(ends or now + DAY)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        files = TlsFiles(self.directory, stem)
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        files.key.touch(mode=0o600)
        files.key.write_bytes(secret)
        files.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
        return Issued(files, f"{serial:x}")


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def raw_context(ca: Path | None = None, shown: Issued | None = None) -> ssl.SSLContext:
    """A client's context that checks nothing but what it is told to, for strangers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE if ca is None else ssl.CERT_REQUIRED
    if ca is not None:
        context.load_verify_locations(ca)
    if shown is not None:
        context.load_cert_chain(*shown.pair)
    return context


def server_context(issued: Issued, clients: Path | None = None) -> ssl.SSLContext:
    """That of a server with this certificate; `clients`: whose authority signs those of clients,
    which it then wants to see."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*issued.pair)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
