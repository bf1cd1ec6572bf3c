"""The snapshots a restore reads: found, verified, and open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import click

from kvorum.backup import layout, manifest
from kvorum.backup.manifest import Content
from kvorum.backup.progress import Progress
from kvorum.backup.reading import SnapshotReader
from kvorum.backup.verification import trusted, verify
from kvorum.cli.key_sources import master_key_source
from kvorum.cli.progress import ShowNode, node_bars
from kvorum.model.errors import ConfigError, NotFound
from kvorum.sealing.master_key import MasterKeySource


class Source(NamedTuple):
    """A snapshot that is open. `mac`: of its manifest, which tells it from all others."""

    reader: SnapshotReader
    content: Content
    mac: str


def snapshot_in(data_dir: Path, name: str) -> Path:
    """Where it is. Raises NotFound, and says for which directory."""
    try:
        return layout.existing(data_dir, name)
    except NotFound as error:
        raise NotFound(f"{data_dir}: {error.message}") from error


class ShownProgress(Progress):
    """A bar follows it."""

    __slots__ = ("_node", "_show")

    def __init__(self, node: str, show: ShowNode) -> None:
        super().__init__()
        self._node = node
        self._show = show

    def advance(self, size: int) -> None:
        """`size` more bytes are done."""
        super().advance(size)
        self._show(self._node, self.done, self.total)


@contextmanager
def opened(name: str, origins: tuple[Path, ...], specs: tuple[str, ...]) -> Iterator[list[Source]]:
    """Snapshot `name` in each of `origins`. Raises before any is used if one is not sound."""
    keys = key_sources(origins, specs)
    paths = [snapshot_in(origin, name) for origin in origins]
    contents = [verified(path, key) for path, key in zip(paths, keys, strict=True)]
    _check_one_cluster(contents)
    with ExitStack() as stack:
        sources = []
        for path, content, key in zip(paths, contents, keys, strict=True):
            reader = SnapshotReader(path, content, key)
            stack.callback(reader.close)
            sources.append(Source(reader, content, manifest.read(path).mac))
        yield sources


def key_sources(directories: tuple[Path, ...], specs: tuple[str, ...]) -> list[MasterKeySource]:
    """Where the master key of each directory comes from. Raises ConfigError."""
    if len(specs) not in (0, 1, len(directories)):
        raise click.UsageError(
            f"--master-key is given {len(specs)} times for {len(directories)} directories. Give it "
            "once for all, or once for each --from."
        )
    each = specs if len(specs) == len(directories) else (specs or (None,)) * len(directories)
    return list(map(master_key_source, directories, each))


def verified(path: Path, key: MasterKeySource) -> Content:
    """What it holds, once all of it was read. Raises ConfigError or StorageError."""
    master = key.load()
    node = trusted(path, master).origin.node
    with node_bars("verify", [node]) as show:
        return verify(path, master, ShownProgress(node, show))


def _check_one_cluster(contents: list[Content]) -> None:
    clusters = sorted({content.origin.cluster for content in contents})
    if len(clusters) > 1:
        raise ConfigError(
            f"The snapshots are of several clusters: {', '.join(clusters)}. Restore one cluster at "
            "a time."
        )
    nodes = [content.origin.node_id for content in contents]
    if len(set(nodes)) < len(nodes):
        twice = next(
            content.origin for content in contents if nodes.count(content.origin.node_id) > 1
        )
        raise ConfigError(
            f"The snapshot of node {twice.node} is given twice. Name each --from once."
        )
