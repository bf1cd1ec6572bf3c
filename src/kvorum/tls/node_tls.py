"""TLS of a node: its certificates of now, and whom it lets in by theirs.

The files are read again when they have changed. Connections that are open keep what they have
agreed on; each new one gets the contexts of that moment. So nothing is restarted and no connection
is closed. New files that are no good are refused as a whole, and the old ones stay in use.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import NamedTuple

from kvorum.model.certified_name import CertifiedName
from kvorum.model.errors import ConfigError
from kvorum.tls.certificate_check import checked
from kvorum.tls.contexts import accepting, client_facing, dialing, show, trust
from kvorum.tls.files import Seen, TlsFiles
from kvorum.tls.stream import TlsStream
from kvorum.tls.verified_certificate import check_name, name_in


class _Contexts(NamedTuple):
    clients: ssl.SSLContext
    peers_in: ssl.SSLContext
    peers_out: ssl.SSLContext


class NodeTls:
    """The contexts of the node `files.name` of `cluster`."""

    def __init__(self, files: TlsFiles, cluster: str, is_revoked: Callable[[str], bool]) -> None:
        """`is_revoked`: of a serial number in lower-case hex. Raises ConfigError, naming the file
        and what to do, if the node cannot use its certificate."""
        self._files = files
        self._cluster = cluster
        self._is_revoked = is_revoked
        self.expires_ms = 0
        """When the certificate in use expires, in ms since 1970."""
        self._seen: Seen = files.seen()
        self._contexts = self._read()

    def __repr__(self) -> str:
        return f"NodeTls({str(self._files.certificate)!r})"

    def for_clients(self) -> ssl.SSLContext:
        """The context of now for the connections of clients."""
        return self._contexts.clients

    def for_peers_in(self) -> ssl.SSLContext:
        """The context of now for the connections that other nodes make."""
        return self._contexts.peers_in

    def for_peers_out(self) -> ssl.SSLContext:
        """The context of now for the connections that are made to other nodes."""
        return self._contexts.peers_out

    def reload(self) -> bool:
        """Read the files again if they have changed; True if they were.

        Raises ConfigError, once for each change, if what is there now is no good: what was read
        before stays in use.
        """
        seen = self._files.seen()
        if seen == self._seen:
            return False
        self._seen = seen
        self._contexts = self._read()
        return True

    def _read(self) -> _Contexts:
        name, expires_ms = checked(self._files)
        wanted = CertifiedName(self._cluster, "node", self._files.name, name.serial)
        if name != wanted:
            raise ConfigError(
                f"The certificate {self._files.certificate} is for {name.uri}, and this node "
                f"needs one for {wanted.uri}. Issue it with `kvorum certs issue "
                f"{self._files.name}`."
            )
        contexts = _Contexts(client_facing(), accepting(), dialing())
        for context in contexts:
            trust(context, self._files.authority)
            show(context, self._files.certificate, self._files.key)
        self.expires_ms = expires_ms
        return contexts

    # Its ends of connections

    def client_end(self) -> NodeEnd:
        """The end of the connections that clients make."""
        return NodeEnd(self, self.for_clients, dials=False, nodes_only=False)

    def accepting_end(self) -> NodeEnd:
        """The end of the connections that other nodes make."""
        return NodeEnd(self, self.for_peers_in, dials=False, nodes_only=True)

    def dialing_end(self) -> NodeEnd:
        """The end of the connections that are made to other nodes."""
        return NodeEnd(self, self.for_peers_out, dials=True, nodes_only=True)

    def check(self, name: CertifiedName, *, nodes_only: bool) -> None:
        """Raises TlsFault if `name`, which is certified, may not come here."""
        check_name(name, self._cluster, self._is_revoked, nodes_only=nodes_only)


class NodeEnd:
    """One kind of end of a node's connections: a `TlsEnd`."""

    def __init__(
        self, tls: NodeTls, context: Callable[[], ssl.SSLContext], *, dials: bool, nodes_only: bool
    ) -> None:
        self._tls = tls
        self._context = context
        self._nodes_only = nodes_only
        self.dials = dials

    def stream(self) -> TlsStream:
        return TlsStream(self._context(), server=not self.dials)

    def certified(self, stream: TlsStream) -> CertifiedName | None:
        certificate = stream.certificate()
        if not certificate and not self._nodes_only:
            return None
        name = name_in(certificate)
        self._tls.check(name, nodes_only=self._nodes_only)
        return name
