"""Exposition: the metrics of a node as text, in the format that Prometheus reads.

    counters, where the work is done ──> families of samples ──> text
    plain ints and lists                 only while somebody asks

Families are made and written a group at a time, each group in a turn of the loop of its own, so
that requests do not wait for all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from kvorum.documents.status import Status
from kvorum.metrics import replication, requests, storage
from kvorum.metrics.metric import Declared, gauge
from kvorum.metrics.sources import Sources
from kvorum.runtime.ports import Runtime

_logger: Final = logging.getLogger(__name__)

INFO: Final = gauge(
    "build_info", "1, with what runs: cluster, node and version.", "cluster", "node", "version"
)
METRICS: Final[tuple[Declared, ...]] = (
    INFO,
    *requests.METRICS,
    *replication.METRICS,
    *storage.METRICS,
)
"""All metrics of a node, but for those of its process, which have the names that all programs
give them (`process_resident_memory_bytes`).
"""

Group = Callable[[], Iterator[Metric]]
Done = Callable[[bytes | None], object]


class Exposition:
    """Writes the metrics of one node."""

    def __init__(self, sources: Sources, runtime: Runtime) -> None:
        self._sources = sources
        self._runtime = runtime
        self._process = ProcessCollector(registry=None)

    def write(self, done: Done) -> None:
        """Call `done` with the text, after this has returned; None if making it failed."""
        self._runtime.call_soon(self._begin, done)

    def _begin(self, done: Done) -> None:
        try:
            groups = self._groups()
        except Exception:
            _logger.exception("reading the metrics failed")
            done(None)
        else:
            self._runtime.call_soon(self._go_on, groups, [], done)

    def _groups(self) -> list[Group]:
        """The last one first."""
        sources = self._sources
        status = sources.status()
        return [
            lambda: storage.collect_namespaces(status),
            lambda: storage.collect_soundness(status),
            lambda: storage.collect(sources.storage()),
            lambda: replication.collect(status, sources.links()),
            lambda: requests.collect(sources, status.connections),
            lambda: iter([_info(status), *self._process.collect()]),
        ]

    def _go_on(self, groups: list[Group], texts: list[bytes], done: Done) -> None:
        try:
            texts.append(generate_latest(_Group(groups.pop())))
        except Exception:
            _logger.exception("making the metrics failed")
            done(None)
            return
        if groups:
            self._runtime.call_soon(self._go_on, groups, texts, done)
        else:
            done(b"".join(texts))


class _Group(Collector):
    """Some families, as prometheus_client takes them."""

    def __init__(self, group: Group) -> None:
        self._group = group

    def collect(self) -> Iterator[Metric]:
        return self._group()


def _info(status: Status) -> Metric:
    return INFO.by_label([((status.cluster, status.node, status.version), 1)])
