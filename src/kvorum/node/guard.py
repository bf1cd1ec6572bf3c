"""The guard of a node in secure mode: certificates, and who may come in by what.

    client ── TLS ──> authenticator ──> door          node ── mutual TLS ──> greeting
                       tokens, users                          certificate

Tokens, users, roles and revoked certificates are what the shared catalog holds at the moment; a
change of it is in force at once, also for connections that are open. Once a second the guard looks
whether certificates have been exchanged, and what has expired.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kvorum.listener.listener import Listener
from kvorum.model.errors import ConfigError
from kvorum.model.security_catalog import EntryId, SecurityCatalog, first_administrator
from kvorum.model.topology import Topology
from kvorum.net.network import PeerNetwork
from kvorum.node.admin_token import write_admin_token
from kvorum.node.secured import Secured
from kvorum.replication.shared_security import SharedSecurity
from kvorum.runtime.loop import LoopRuntime
from kvorum.service.access import GrantPolicy
from kvorum.service.audit import Auditor
from kvorum.service.audited_authenticator import AuditedAuthenticator
from kvorum.service.authentication import Authenticator
from kvorum.service.catalog_authenticator import CatalogAuthenticator
from kvorum.service.passwords import PasswordWork
from kvorum.service.security_administration import SecurityAdministration, SecurityParts
from kvorum.service.security_changes import SecurityChanges
from kvorum.service.service import Service
from kvorum.service.tokens import first_administrators
from kvorum.tls.files import TlsFiles
from kvorum.tls.node_tls import NodeTls

_LOG: Final = logging.getLogger(__name__)
_LOOK_EVERY_S: Final = 1.0
_WARN_DAYS: Final = 30
_DAY_MS: Final = 86_400_000


class Guard:
    """Certificates and authentication of one node. Raises ConfigError if its certificate is no
    good.
    """

    policy: Final = GrantPolicy()

    def __init__(self, secured: Secured, topology: Topology, name: str) -> None:
        self._secured = secured
        self._shared: SharedSecurity | None = None
        self._topology = topology
        self._local = topology.number_of(name)
        self.tls = NodeTls(TlsFiles(secured.certs, name), topology.cluster, self._is_revoked)

    def attach(
        self, shared: SharedSecurity, directory: Path, runtime: LoopRuntime, auditor: Auditor
    ) -> None:
        """Let in by what `shared` holds from now on. If that is nothing, it gets the first
        administrator, whose token is written into `directory`. Raises ConfigError.
        """
        self._shared = shared
        secret = self._topology.secret
        if self._secured.writes_admin_token and not shared.catalog.entries:
            path = write_admin_token(directory, secret)
            _LOG.warning("the first administrator's token is in %s: keep it from others", path)
        self._runtime = runtime
        self._passwords = PasswordWork(runtime.loop.call_soon_threadsafe)
        self._by_catalog = CatalogAuthenticator(shared.catalog, runtime, self._passwords)
        self.authenticator: Authenticator = AuditedAuthenticator(self._by_catalog, auditor)
        first = first_administrators(secret)
        shared.enter_first(first_administrator(first.id, first.digest))

    def follow(self, listener: Listener, network: PeerNetwork) -> None:
        """Have changes of the catalog take effect on what is open at these."""
        assert self._shared is not None, "attach it first"

        def hear(catalog: SecurityCatalog, changed: Sequence[EntryId]) -> None:
            self._by_catalog.on_catalog(catalog)
            revoked = [one.name for one in changed if catalog.is_revoked(one.name)]
            if revoked:
                listener.revoke(revoked)
                network.revoke(revoked)

        self._shared.subscribe(hear)
        self._by_catalog.on_catalog(self._shared.catalog)

    def administration(self, service: Service) -> SecurityAdministration:
        """The administration of the catalog that all nodes share."""
        assert self._shared is not None, "attach it first"
        changes = SecurityChanges(self._shared, self._runtime.wall_ms, self._local)
        parts = SecurityParts(
            changes=changes, passwords=self._passwords, holder=self._by_catalog.holder
        )
        return SecurityAdministration(service, parts)

    def close(self) -> None:
        """Verify no more passwords."""
        self._passwords.close()

    async def watch(self) -> None:
        """Look once a second what has changed and what has expired; never ends by itself."""
        warned_day = -1
        while True:
            now_ms = self._runtime.wall_ms()
            self._by_catalog.on_tick(now_ms)
            self._reload()
            if now_ms // _DAY_MS != warned_day:
                warned_day = now_ms // _DAY_MS
                self._warn(now_ms)
            await asyncio.sleep(_LOOK_EVERY_S)

    def _reload(self) -> None:
        try:
            if self.tls.reload():
                _LOG.info("the certificates have been read again")
        except ConfigError as error:
            _LOG.warning("the new certificates are not used: %s", error)

    def _warn(self, now_ms: int) -> None:
        days = (self.tls.expires_ms - now_ms) // _DAY_MS
        if days < _WARN_DAYS:
            _LOG.warning(
                "the certificate of this node expires in %d days: issue another one with "
                "'kvorum certs rotate'",
                max(days, 0),
            )

    def _is_revoked(self, serial: str) -> bool:
        return self._shared is not None and self._shared.catalog.is_revoked(serial)
