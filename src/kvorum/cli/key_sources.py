"""Where keys come from: options name a source, so no key ever stands on a command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from pathlib import Path

    from kvorum.sealing.master_key import MasterKeySource

_Command = TypeVar("_Command", bound=Callable[..., Any])

MASTER_KEY_FILE: Final = "master.key"


def source_option(
    *names: str, what: str, default: str = "", **settings: Any
) -> Callable[[_Command], _Command]:
    """An option that names a source of `what`; `default` says where it comes from otherwise."""
    text = f"{what}: file:PATH, env:NAME or command:PROGRAM ARGUMENTS."
    if default:
        text = f"{text}  [default: {default}]"
    return click.option(*names, metavar="SOURCE", help=text, **settings)


master_key_option: Final[Callable[[_Command], _Command]] = source_option(
    "--master-key",
    what="The key that wraps all keys of a node's data",
    default=f"file {MASTER_KEY_FILE} in its data directory, made at its first start",
)


def master_key_source(data_dir: Path, spec: str | None) -> MasterKeySource:
    """Of the node whose data is in `data_dir`. Raises ConfigError."""
    from kvorum.sealing.master_key import FileSource, parse_source

    return FileSource(data_dir / MASTER_KEY_FILE) if spec is None else parse_source(spec)
