"""The option that names a node as clients do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


class HostName(click.ParamType):
    """A host name without a port."""

    name = "name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from kvorum.model.address import is_host

        if not is_host(value):
            self.fail(f"{value!r} is not a host name; give it without a scheme and a port.")
        return value


allow_host_option: Final[Callable[[_Command], _Command]] = click.option(
    "--allow-host",
    "host_names",
    type=HostName(),
    metavar="NAME",
    multiple=True,
    help="A host name that clients may use, beside localhost and those in the cluster's "
    "addresses; may be given several times.",
)
