"""Sources: what metrics are read from, each time that somebody asks for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from kvorum.documents.status import Status
from kvorum.journal.storage_numbers import StorageNumbers
from kvorum.metrics.audit import AuditNumbers
from kvorum.metrics.loop_lag import LoopLag
from kvorum.service.admission import Admission
from kvorum.service.audit import UNAUDITED
from kvorum.service.latencies import Latencies


class Sources(NamedTuple):
    """The counters of one node. `links`: of the traffic with other nodes, by name."""

    status: Callable[[], Status]
    storage: Callable[[], StorageNumbers]
    links: Callable[[], Mapping[str, int]]
    latencies: Latencies
    admission: Admission
    loop_lag: LoopLag
    audit: AuditNumbers = UNAUDITED
