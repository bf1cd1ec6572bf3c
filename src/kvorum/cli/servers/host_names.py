"""The option that names a node as clients do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from kvorum.model.address import is_host

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _checked(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:

    for name in names:
        if not is_host(name):
            raise click.BadParameter(f"{name!r} is not a host name. Leave out scheme and port")
    return names


allow_host_option: Final[Callable[[_Command], _Command]] = click.option(
    "--allow-host",
    "host_names",
    callback=_checked,
    metavar="NAME",
    multiple=True,
    help="A host name that clients may use, beside localhost and those in the cluster's "
    "addresses; may be given several times.",
)
