"""A token that is added to the files of a stopped node: the way back for whoever has lost all
that he could show to the cluster. Who may write to these files may do everything anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from kvorum.cli.moments import now_ms
from kvorum.cli.stopped_node import stopped_node
from kvorum.client.security_requests import Limits
from kvorum.documents.security import MadeToken, shown_token
from kvorum.model.errors import ConfigError
from kvorum.model.permissions import Grant
from kvorum.model.security_catalog import SecurityCatalog
from kvorum.model.security_values import PrincipalLimits
from kvorum.service.security_changes import refused
from kvorum.service.security_wishes import TokenWish
from kvorum.service.tokens import new_token
from kvorum.storage.security_file import SecurityFile

_ORIGIN: Final = 0
"""It decides between changes of the same moment, and nobody else can change a token that is new."""


def wish_of(
    name: str, grants: Sequence[Mapping[str, Any]], expires: int | None, limits: Limits | None
) -> TokenWish:
    """What options ask for. Raises RequestError."""
    return TokenWish(
        name=name,
        grants=tuple(Grant(**one) for one in grants),
        expires_s=expires,
        limits=PrincipalLimits(**(limits or {})),
    )


def create_offline(data_dir: Path, wish: TokenWish) -> MadeToken:
    """Add a token to the security catalog in `data_dir`; the others get it when its node starts.

    Raises RequestError if there can be no such token, ConfigError if the node runs or has never
    been one of a secure cluster.
    """
    wish.check()
    with stopped_node(data_dir):
        file = SecurityFile(data_dir)
        catalog = _catalog(file)
        new, now = new_token(), now_ms()
        token = wish.token(new, now)
        try:
            entry = catalog.putting(token, now, _ORIGIN)
        except ConfigError as error:
            raise refused(error) from error
        file.write(catalog.merged([entry])[0])
    return MadeToken(
        token=new.text, known_by=[], not_yet=[], **msgspec.structs.asdict(shown_token(token))
    )


def revoke_offline(data_dir: Path, token_id: str) -> None:
    """Take the token out of the files of a stopped node again."""
    with stopped_node(data_dir):
        file = SecurityFile(data_dir)
        catalog = _catalog(file)
        entry = catalog.removing("token", token_id, now_ms(), _ORIGIN)
        file.write(catalog.merged([entry])[0])


def _catalog(file: SecurityFile) -> SecurityCatalog:
    catalog = file.read()
    if catalog is None:
        raise ConfigError(
            f"The node in {file.path.parent} has no {file.path.name}, so it has never run in a "
            "secure cluster. Start it with 'kvorum serve --certs': then there is an administrator, "
            "whose token is in admin.token."
        )
    return catalog
