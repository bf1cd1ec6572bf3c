"""Grants and limits as commands take and show them, and what else is the same for tokens, users
and roles.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click

from kvorum.cli.connection import open_client, with_options
from kvorum.cli.errors import NEXT_STEP
from kvorum.client.security_requests import grants_of
from kvorum.client.synchronous import Client
from kvorum.client.url import Target
from kvorum.documents.security import ShownGrant
from kvorum.model.errors import KvorumError, NotFound, PreconditionFailed, RequestError
from kvorum.model.security_values import PrincipalLimits
from kvorum.model.sizes import format_size, parse_size

_R = TypeVar("_R")
_COUNT: Final = click.IntRange(0)
_LOOK: Final = (
    "it may have been carried out: look with 'kvorum token list', 'kvorum user list' or 'kvorum "
    "role list' before you repeat it"
)

namespace_option: Final = click.option(
    "--namespace", "in_namespace", metavar="NAME", help="Only in this namespace.  [default: all]"
)
prefix_option: Final = click.option(
    "--prefix",
    default="",
    show_default=False,
    metavar="TEXT",
    help="Only for keys that begin so.  [default: all]",
)


def takes_grants(command: Callable[..., _R]) -> Callable[..., _R]:
    """Options for roles and what they are narrowed to; given as `grants`, one for each role."""

    @functools.wraps(command)
    def with_grants(
        *arguments: Any,
        roles: tuple[str, ...],
        in_namespace: str | None,
        prefix: str,
        **options: Any,
    ) -> _R:
        grants = grants_of(roles, in_namespace, prefix, ())
        return command(*arguments, grants=grants, **options)

    return with_options(
        click.option(
            "--role",
            "roles",
            required=True,
            multiple=True,
            metavar="ROLE",
            help="What it may do: 'kvorum role list' shows the roles. May be repeated.",
        ),
        namespace_option,
        prefix_option,
    )(with_grants)


def takes_limits(command: Callable[..., _R]) -> Callable[..., _R]:
    """Options for limits; given as `limits`, a dict of those that are there, None if none is."""

    @functools.wraps(command)
    def with_limits(
        *arguments: Any,
        limit_requests: int | None,
        limit_bytes: str | None,
        limit_connections: int | None,
        **options: Any,
    ) -> _R:
        given = {
            "requests_per_s": limit_requests,
            "bytes_per_s": None if limit_bytes is None else parse_size(limit_bytes),
            "connections": limit_connections,
        }
        limits = {name: value for name, value in given.items() if value is not None}
        return command(*arguments, limits=limits or None, **options)

    return with_options(
        click.option(
            "--limit-requests", type=_COUNT, metavar="N", help="Requests a second at each node."
        ),
        click.option(
            "--limit-bytes", metavar="SIZE", help="Bytes a second at each node, as in 10MB."
        ),
        click.option(
            "--limit-connections", type=_COUNT, metavar="N", help="Connections to each node."
        ),
    )(with_limits)


def asked(target: Target, ask: Callable[[Client], _R]) -> _R:
    """What `ask` returns, given a client. What the cluster refuses says itself what to do: what it
    would advise those who speak HTTP is left out."""
    try:
        with open_client(target) as client:
            return ask(client)
    except KvorumError as error:
        if error.outcome == "unknown":
            error.details[NEXT_STEP] = _LOOK
        elif type(error) in (RequestError, NotFound, PreconditionFailed):
            error.details.pop("advice", None)
        raise


def shown_grants(grants: Sequence[ShownGrant]) -> str:
    """As a cell: `writer in orders for 2026/*, monitor`."""
    return ", ".join(map(_shown_grant, grants))


def shown_scope(namespace: str | None, prefix: str) -> str:
    """Where it counts, as a cell: `in orders for 2026/*`; empty for everywhere."""
    words = [] if namespace is None else [f"in {namespace}"]
    if prefix:
        words.append(f"for {prefix}*")
    return " ".join(words)


def shown_limits(limits: PrincipalLimits | None) -> str:
    """As a cell: `100 requests/s, 1 MB/s`; empty for none."""
    if limits is None:
        return ""
    parts = []
    if limits.requests_per_s:
        parts.append(f"{limits.requests_per_s} requests/s")
    if limits.bytes_per_s:
        parts.append(f"{format_size(limits.bytes_per_s)}/s")
    if limits.connections:
        parts.append(f"{limits.connections} connections")
    return ", ".join(parts)


def _shown_grant(grant: ShownGrant) -> str:
    scope = shown_scope(grant.namespace, grant.prefix)
    return f"{grant.role} {scope}" if scope else grant.role
