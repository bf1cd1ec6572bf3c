"""The name that a certificate certifies: a node or a client of one cluster.

It stands in the certificate as a URI among the subject's alternative names (RFC 5280, section
4.2.1.6), as SPIFFE does it:

    kvorum://CLUSTER/node/NAME        kvorum://CLUSTER/client/NAME
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from kvorum.model.errors import ConfigError

Kind = Literal["node", "client"]
CERTIFIED_NAME: Final = "certified_name"
"""What a connection is asked for the name in its other side's certificate, by `get_extra_info`."""

_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
_URI: Final = re.compile(rf"kvorum://({_NAME})/(node|client)/({_NAME})")


class CertifiedName(NamedTuple):
    """Whom a certificate is for. `serial`: the certificate's number, in hex without leading
    zeros, by which it is revoked.
    """

    cluster: str
    kind: Kind
    name: str
    serial: str

    @property
    def uri(self) -> str:
        """As the certificate has it."""
        return f"kvorum://{self.cluster}/{self.kind}/{self.name}"


def parse_certified_name(uri: str, serial: str) -> CertifiedName:
    """The name in `uri`. Raises ConfigError if that is none of a node or client."""
    found = _URI.fullmatch(uri)
    if found is None:
        raise ConfigError(f"The certificate's URI {uri[:200]!r} names no node and no client.")
    cluster, kind, name = found.groups()
    return CertifiedName(cluster, "node" if kind == "node" else "client", name, serial)
