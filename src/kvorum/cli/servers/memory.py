"""The option that says how much memory a node may take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])

memory_option: Final[Callable[[_Command], _Command]] = click.option(
    "--memory",
    metavar="SIZE",
    default="256MB",
    show_default=True,
    help="Of a node, for caches, write buffers and entries kept in memory, together.",
)
