"""The options of every command that asks a cluster, and the client they describe."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from kvorum.cli.parameter_types import Seconds
from kvorum.client.synchronous import Client
from kvorum.client.url import Target, check_namespace, check_timeout, parse_servers

_R = TypeVar("_R")

_server = click.option(
    "--server",
    metavar="HOST:PORT[,...]",
    envvar="KVORUM_SERVER",
    default="127.0.0.1:7400",
    show_envvar=True,
    help="Servers of the cluster, tried in turn; any will do.",
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
    default=10.0,
    metavar="SECONDS",
    help="How long a request may take.",
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
        *, server: str, timeout: float, namespace: str | None = None, **options: Any
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


def _target(server: str, namespace: str | None, timeout: float) -> Target:
    return Target(
        parse_servers(server),
        None if namespace is None else check_namespace(namespace),
        check_timeout(timeout),
    )
