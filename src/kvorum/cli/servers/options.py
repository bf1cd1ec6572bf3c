"""The options that `serve` and `up` share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from kvorum.cli.parameter_types import NonEmptyPath
from kvorum.cli.servers.logs import LEVELS
from kvorum.devcluster.cluster import STOP_GRACE_S
from kvorum.model.address import is_host

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _checked(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not is_host(name):
            raise click.BadParameter(f"{name!r} is not a host name. Leave out scheme and port")
    return names


allow_host_option: Final = click.option(
    "--allow-host",
    "host_names",
    callback=_checked,
    metavar="NAME",
    multiple=True,
    help="A host name that clients may use, beside localhost and the hosts in the cluster's "
    "addresses. May be given several times.",
)
running_data_dir_option: Final = click.option(
    "--data-dir",
    default="data",
    envvar="KVORUM_UP_DATA_DIR",
    show_envvar=True,
    type=NonEmptyPath(file_okay=False, path_type=Path),
    help="The directory of the cluster, as it was given to 'kvorum up'.",
)
memory_option: Final = click.option(
    "--memory",
    metavar="SIZE",
    default="256MB",
    help="What a node's caches, write buffers and entries kept in memory may take together.",
)


stop_grace_option: Final = click.option(
    "--stop-grace",
    type=click.FloatRange(0, 3600),
    metavar="SECONDS",
    default=STOP_GRACE_S,
    help="How long a node that is stopped still answers, so that clients can turn to others.",
)


def log_level_option(default: str) -> Callable[[_Command], _Command]:
    """The option that says which messages of a node's log are shown."""
    return click.option(
        "--log-level",
        type=click.Choice(LEVELS),
        default=default,
        help="The least severe messages that are logged.",
    )
