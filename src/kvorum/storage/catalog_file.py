"""The catalog of a data directory: which namespaces the node has, and which it is removing.

    DIR/catalog.json    {"format": 1, "check": XXH3-64 of the digit 1 and the state's bytes in hex,
                         "state": {"version": ..., "namespaces": {...}, "removals": {...},
                                   "own": ...}}

A change of the namespaces is decided when this file is durable. What follows from it (keys, stores,
records to be deleted) can be done again, and a start does again what a crash has cut short: a
namespace stays under `removals` until no record of it can come back.

The file is read as strictly as one that people write: what is in it must be valid settings.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Final

import msgspec
import xxhash
from msgspec import Meta
from msgspec.structs import replace

from kvorum.model.catalog import Catalog
from kvorum.model.errors import ConfigError, StorageError
from kvorum.model.topology import (
    DEFAULT_NAMESPACE,
    NamespaceSettings,
    check_namespace,
    naming,
)
from kvorum.storage import durable_file

_LOG: Final = logging.getLogger(__name__)

FORMAT: Final = 1
FILE_BYTES_MAX: Final = 8 << 20


class Removal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The end of a namespace that was dropped.

    `before_ms`: what was written to it up to that moment is gone for good. `lies_open`: its records
    are not encrypted, so they have to be deleted before another namespace may have its name. For
    others it is enough that their keys are destroyed.
    """

    before_ms: Annotated[int, Meta(ge=0)]
    lies_open: bool


class StoredCatalog(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`own`: it is changed here, not by the cluster file. `removals`: of the dropped namespaces
    that something may be left of, by name.
    """

    version: Annotated[int, Meta(ge=1)]
    namespaces: dict[str, NamespaceSettings]
    removals: dict[str, Removal] = {}
    own: bool = False

    @property
    def catalog(self) -> Catalog:
        return Catalog(version=self.version, namespaces=self.namespaces)


class _File(msgspec.Struct, frozen=True):
    format: int
    check: str
    state: msgspec.Raw


class _Said(msgspec.Struct, frozen=True):
    """Which settings are written down, by namespace."""

    namespaces: dict[str, dict[str, msgspec.Raw]]


CATALOG: Final = "catalog.json"


class CatalogFile:
    """Of the data directory `directory`; it need not be there yet. Only ever replaced whole."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / CATALOG

    def read(self, nodes: int) -> StoredCatalog | None:
        """What it holds; None if there is no such file. `nodes`: how many the cluster has.

        Raises ConfigError if it cannot be read, or holds what no catalog can.
        """
        try:
            with self.path.open("rb") as stream:
                data = stream.read(FILE_BYTES_MAX + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(
                f"The list of the node's namespaces, {self.path}, cannot be read: "
                f"{error.strerror}. Make it a file that this user may read."
            ) from error
        with naming(str(self.path)):
            stored = decode(data)
            if DEFAULT_NAMESPACE not in stored.namespaces:
                raise _damaged(f"it lacks the namespace {DEFAULT_NAMESPACE!r}")
            for name, settings in stored.namespaces.items():
                check_namespace(name, settings, nodes)
        return stored

    def write(self, stored: StoredCatalog) -> None:
        """Replace it, durably. Raises StorageError: then it holds the old catalog or the new one.

        Waits for the disk.
        """
        try:
            durable_file.replace(self.path, encode(stored))
        except OSError as error:
            raise StorageError(
                f"{self.path} cannot be written: {error.strerror or error}. Make room on the disk, "
                "and see that this user may write there.",
                outcome="unknown",
            ) from error


def encode(stored: StoredCatalog) -> bytes:
    """The file."""
    state = msgspec.json.encode(stored)
    return msgspec.json.encode(_File(FORMAT, _check(state), msgspec.Raw(state))) + b"\n"


def decode(data: bytes) -> StoredCatalog:
    """What the file says. Raises ConfigError if it is damaged or of another format."""
    if len(data) > FILE_BYTES_MAX:
        raise _damaged(f"it has more than {FILE_BYTES_MAX} bytes")
    try:
        file = msgspec.json.decode(data, type=_File)
        if file.format != FORMAT:
            raise ConfigError(
                f"The list of the node's namespaces has format {file.format}, and this kvorum uses "
                f"format {FORMAT} only. Start it with the kvorum that wrote it."
            )
        state = bytes(file.state)
        if _check(state) != file.check:
            raise _damaged("its check is wrong")
        return _with_hash_tags_said(msgspec.json.decode(state, type=StoredCatalog), state)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(str(error)) from error


def _with_hash_tags_said(stored: StoredCatalog, state: bytes) -> StoredCatalog:
    """`stored`, in which a namespace has no hash tags if `state` does not say whether it has: it
    was made before there were any, so its keys lie elsewhere.
    """
    said = msgspec.json.decode(state, type=_Said).namespaces
    return replace(
        stored,
        namespaces={
            name: settings if "hash_tags" in said[name] else replace(settings, hash_tags=False)
            for name, settings in stored.namespaces.items()
        },
    )


def _check(state: bytes) -> str:
    return xxhash.xxh3_64_hexdigest(str(FORMAT).encode() + state)


def _damaged(why: str) -> ConfigError:
    return ConfigError(
        f"The list of this node's namespaces cannot be read ({why}). Put a copy of this file in "
        "its place; or give the node an empty data directory, which the others fill again."
    )
