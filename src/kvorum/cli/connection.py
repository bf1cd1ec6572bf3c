"""The options of every command that asks a cluster, and the client they describe."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from kvorum.cli.parameter_types import NonEmptyPath, Seconds
from kvorum.client.environment import (
    CONTEXT_VARIABLE,
    SERVER_VARIABLE,
    VARIABLES,
    target_of,
)
from kvorum.client.options import DEFAULTS
from kvorum.client.synchronous import Client
from kvorum.client.url import DEFAULT_SERVER, Target, has_credentials
from kvorum.model.errors import ConfigError

_R = TypeVar("_R")

_PREFIX: Final = "tls_"
FILE: Final = NonEmptyPath(dir_okay=False, path_type=Path)

_server = click.option(
    "--server",
    metavar="HOST:PORT[,...]",
    help="Servers of the cluster, tried in turn; any will do. Also a URL with options.  "
    f"[env var: {SERVER_VARIABLE}; default: as the context says, or {DEFAULT_SERVER}]",
)
_context = click.option(
    "--context",
    metavar="NAME",
    help="A cluster that 'kvorum context add' has given this name.  "
    f"[env var: {CONTEXT_VARIABLE}; default: the current one]",
)


def _file(option: str, name: str, meaning: str) -> Callable[[Callable[..., _R]], Callable[..., _R]]:
    # Many commands have a key of their own.
    help_text = f"{meaning}  [env var: {VARIABLES[name]}]"
    return click.option(option, _PREFIX + name, type=FILE, help=help_text)


_security: Final = {
    "ca": _file("--ca", "ca", "The authorities that a server's certificate must be of."),
    "cert": _file("--cert", "cert", "A certificate of your own, for kvorums://."),
    "key": _file("--cert-key", "key", "The private key of that certificate."),
    "token_file": _file("--token-file", "token_file", "A file with the token that says who asks."),
}
r_option: Final = click.option(
    "-r",
    type=click.IntRange(min=1),
    help="How many replicas must answer a read.  [default: as the namespace says]",
)
w_option: Final = click.option(
    "-w",
    type=click.IntRange(min=1),
    help="How many replicas must acknowledge a write.  [default: as the namespace says]",
)
_timeout = click.option(
    "--timeout",
    type=Seconds(),
    metavar="SECONDS",
    help=f"How long a request may take.  [default: {DEFAULTS.timeout:g}]",
)


def _namespace(meaning: str) -> Callable[[Callable[..., _R]], Callable[..., _R]]:
    return click.option(
        "--namespace", metavar="NAME", envvar="KVORUM_NAMESPACE", show_envvar=True, help=meaning
    )


def with_options(
    *options: Callable[[Callable[..., _R]], Callable[..., _R]],
) -> Callable[[Callable[..., _R]], Callable[..., _R]]:
    """All of `options`, which --help shows in that order."""

    def decorated(command: Callable[..., _R]) -> Callable[..., _R]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


def asks_cluster(command: Callable[..., _R]) -> Callable[..., _R]:
    """Gives `command` its connection options, as one Target in place of its first argument."""

    @functools.wraps(command)
    def with_target(
        *,
        server: str | None,
        context: str | None,
        timeout: float | None,
        namespace: str | None = None,
        **options: Any,
    ) -> _R:
        given = {name: options.pop(_PREFIX + name) for name in _security}
        given |= {"namespace": namespace, "timeout": timeout}
        return command(_target(server, context, given), **options)

    return with_options(_server, _context, *_security.values(), _timeout)(with_target)


def asks_namespace(command: Callable[..., _R]) -> Callable[..., _R]:
    """The same for a command whose keys are in a namespace."""
    return _namespace("The namespace to use.  [default: default]")(asks_cluster(command))


def asks_namespaces(command: Callable[..., _R]) -> Callable[..., _R]:
    """The same for a command that is about all namespaces, unless one is named."""
    return _namespace("Only this namespace.  [default: all]")(asks_cluster(command))


def open_client(target: Target) -> Client:
    return Client(target)


def check_no_secret(server: str) -> None:
    """Raises ConfigError if `server`, which stands on the command line, has credentials in it."""
    if has_credentials(server):
        raise ConfigError(
            "Every user of this machine can read the command line, and the URL in it has "
            "credentials: take them for known, and use new ones. Put a token into the variable "
            "KVORUM_TOKEN, or into a file that --token-file names."
        )


def _target(server: str | None, context: str | None, given: dict[str, Any]) -> Target:
    """A command prints values as they are stored, so how programs read them does not concern it."""
    if server is not None:
        check_no_secret(server)
    target = target_of(server, given, context=context)
    return replace(target, on_conflict=DEFAULTS.on_conflict, serializer=DEFAULTS.serializer)
