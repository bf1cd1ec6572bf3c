"""Where keys come from: options name a source, so no key ever stands on a command line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from kvorum.model.errors import ConfigError
from kvorum.sealing.master_key import FileSource, MasterKeySource, parse_source

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


master_key_option: Final = source_option(
    "--master-key",
    what="The key that wraps all keys of a node's data",
    default=f"file {MASTER_KEY_FILE} in its data directory, made at its first start",
)


def master_key_source(data_dir: Path, spec: str | None) -> MasterKeySource:
    """Of the node whose data is in `data_dir`. Raises ConfigError."""
    return FileSource(data_dir / MASTER_KEY_FILE) if spec is None else parse_source(spec)


def check_master_key(spec: str, data_dir: Path) -> None:
    """Raises ConfigError if the nodes of the cluster in `data_dir` would get no master key from
    `spec`. Nothing is made: of a key file that is missing it only checks the place."""
    source = parse_source(spec)
    path = Path(spec.removeprefix("file:"))
    if spec.startswith("file:") and not path.exists() and not _has_keys(data_dir):
        _check_creatable(path, data_dir)
    else:
        source.load()


def _has_keys(data_dir: Path) -> bool:
    """True if a node there has wrapped keys already."""
    return any(data_dir.glob("*/keys.json"))


def _check_creatable(path: Path, data_dir: Path) -> None:
    place = path.parent
    if place.resolve().is_relative_to(data_dir.resolve()):
        return  # It is made with the data.
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        reason = "its directory is not writable" if place.is_dir() else "there is no such directory"
        raise ConfigError(
            f"Cannot make a master key in {path}: {reason}. Put the key there, make its "
            "directory and let this user write to it, or name another source."
        )
