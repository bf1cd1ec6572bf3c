"""Exposition: the metrics of a node as text, in the format that Prometheus reads.

    counters, where the work is done ──> families of samples ──> text
    plain ints and lists                 only while somebody asks

Families are made and written a few at a time, in several turns of the loop, so that requests do not
wait for all of them. One of a thousand samples takes about 3 ms.
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
from kvorum.metrics import audit, replication, requests, storage
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
    *audit.METRICS,
)
"""All metrics of a node, but for those of its process, which have the names that all programs
give them (`process_resident_memory_bytes`).
"""

_SAMPLES: Final = 300
"""So many are written in a turn, and those of the last family."""

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
            families = self._families(self._sources.status())
        except Exception:
            _logger.exception("reading the metrics failed")
            done(None)
        else:
            self._runtime.call_soon(self._go_on, families, [], done)

    def _families(self, status: Status) -> Iterator[Metric]:
        sources = self._sources
        yield INFO.by_label([((status.cluster, status.node, status.version), 1)])
        yield from self._process.collect()
        yield from requests.collect(sources, status.connections)
        yield from replication.collect(status, sources.links())
        yield from storage.collect(sources.storage())
        yield from audit.collect(sources.audit)
        yield from storage.collect_soundness(status)
        yield from storage.collect_namespaces(status)

    def _go_on(self, families: Iterator[Metric], texts: list[bytes], done: Done) -> None:
        try:
            few = list(_some(families))
            texts.append(generate_latest(_Families(few)))
        except Exception:
            _logger.exception("making the metrics failed")
            done(None)
            return
        if few:
            self._runtime.call_soon(self._go_on, families, texts, done)
        else:
            done(b"".join(texts))


def _some(families: Iterator[Metric]) -> Iterator[Metric]:
    """The next ones, until they have enough samples for a turn."""
    samples = 0
    while samples < _SAMPLES and (family := next(families, None)) is not None:
        samples += len(family.samples)
        yield family


class _Families(Collector):
    """Some families, as prometheus_client takes them."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families
