"""The budget: what a node's memory is for.

`--memory` is what the node may keep in memory beyond what it needs to run at all (about 60 MB
of interpreter, libraries and connections):

    kept in memory    what namespaces with durability "none" are allowed, off the top: it is
                      data, and no cache may take its place
    row cache         1/8  records as they were put, ready to be sent; the fastest copy and the
                      dearest, at about 200 bytes of bookkeeping each, so the smallest share
    memtables         3/8  three of 1/8 each: one is written, one is flushed, one absorbs writes
                      while the flush lasts
    journal           1/8  what is written and not yet flushed, plain, in two segments
    block cache       all that is left: blocks, bloom filters and indexes of the sorted files

Memtables and blocks share one allowance of 6/8. The engine charges each memtable to the block
cache, so what the memtables do not use is cache: after an hour of reads nearly all of it, in a
storm of writes half. Larger memtables make fewer, larger flushes; beyond an
eighth each that no longer pays for the reads that miss, and a crash has more log to replay.

Below `MEMORY_MIN` memtables would be so small that the engine flushes more than it writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Self

import msgspec

from kvorum.model.errors import ConfigError
from kvorum.model.sizes import format_size
from kvorum.model.topology import NamespaceSettings

MEMORY_DEFAULT: Final = 256_000_000
MEMORY_MIN: Final = 32_000_000
MEMORY_MAX: Final = 1 << 40
MEMTABLES_MAX: Final = 3

_EIGHTHS: Final = 8


class Budget(msgspec.Struct, frozen=True):
    """`cache_bytes` holds blocks and memtables, the latter up to `MEMTABLES_MAX` of them."""

    row_cache_bytes: int
    journal_bytes: int
    memtable_bytes: int
    cache_bytes: int

    @classmethod
    def split(cls, total: int, promised: int = 0) -> Self:
        """Of `total` bytes `promised` belong to entries kept in memory. Raises ConfigError."""
        share = total - promised
        if total > MEMORY_MAX or share < MEMORY_MIN:
            beside = f" beside the {format_size(promised)} promised to namespaces"
            raise ConfigError(
                f"{format_size(total)} of memory cannot be used: a node takes at least "
                f"{format_size(MEMORY_MIN)}{beside if promised else ''} and at most "
                f"{format_size(MEMORY_MAX)}. Choose a size in that range.",
                wanted=MEMORY_MIN + promised,
                got=total,
            )
        eighth = share // _EIGHTHS
        return cls(eighth, eighth, eighth, share - 2 * eighth)


def promised(namespaces: Iterable[NamespaceSettings]) -> int:
    """What entries kept in memory may take on one node, whatever else happens."""
    return sum(settings.max_memory for settings in namespaces)
