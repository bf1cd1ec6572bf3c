"""The options of every command that asks a cluster, and the client they describe."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

import click

from kvorum.cli.parameter_types import Seconds
from kvorum.client.options import DEFAULTS
from kvorum.client.synchronous import Client
from kvorum.client.url import DEFAULT_SERVER, SERVER_VARIABLE, Target, parse_url, with_keywords

_R = TypeVar("_R")

_server = click.option(
    "--server",
    metavar="HOST:PORT[,...]",
    envvar=SERVER_VARIABLE,
    default=DEFAULT_SERVER,
    show_envvar=True,
    help="Servers of the cluster, tried in turn; any will do. Also a URL with options.",
)
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
        *, server: str, timeout: float | None, namespace: str | None = None, **options: Any
    ) -> _R:
        return command(_target(server, namespace, timeout), **options)

    return _server(_timeout(with_target))


def asks_namespace(command: Callable[..., _R]) -> Callable[..., _R]:
    """The same for a command whose keys are in a namespace."""
    return _namespace("The namespace to use.  [default: default]")(asks_cluster(command))


def asks_namespaces(command: Callable[..., _R]) -> Callable[..., _R]:
    """The same for a command that is about all namespaces, unless one is named."""
    return _namespace("Only this namespace.  [default: all]")(asks_cluster(command))


def open_client(target: Target) -> Client:
    return Client(target)


def _target(server: str, namespace: str | None, timeout: float | None) -> Target:
    """A command prints values as they are stored, so how programs read them does not concern it."""
    target = with_keywords(parse_url(server), {"namespace": namespace, "timeout": timeout})
    return replace(target, on_conflict=DEFAULTS.on_conflict, serializer=DEFAULTS.serializer)
