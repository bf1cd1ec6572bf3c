"""File descriptors: how many this process may have open, and what they are for.

The system refuses to open a file or socket beyond a limit (RLIMIT_NOFILE, `ulimit -n`). It does not
care which: clients that connect and do nothing could take all descriptors there are, and then the
journal cannot open its next file. So the limit is split beforehand, and clients get what is left:

    own         96: the standard streams, the loop, listening sockets; the files of the journal,
                `node.json`, keys and snapshots; what the engine has open beside its sorted files
                (logs, manifest), and those it is writing or compacting
    engine      a quarter of the limit, from 32 to 256: sorted files that it keeps open
    links       2 for each other node, which may have dialed while it was dialed
    greeting    a sixteenth of the limit, from 4 to 64: connections to the peer port that have not
                said yet who they are
    backlog     a quarter of what is left, up to 1024: a loop may accept so many connections in one
                go, before they are counted
    clients     the rest, 16 at least, up to the server's own maximum

The hard limit is what an unprivileged process may raise its soft limit to, so `serve` does that
first. Where it is "unlimited", or larger than `LIMIT_MAX`, that number is reckoned with.
"""

from __future__ import annotations

import resource
from contextlib import suppress
from itertools import count
from typing import Final, Self

import msgspec

from kvorum.model.errors import ConfigError

LIMIT_MAX: Final = 1 << 20
OWN: Final = 96
ENGINE_MIN: Final = 32
ENGINE_MAX: Final = 256
GREETING_MIN: Final = 4
GREETING_MAX: Final = 64
BACKLOG_MAX: Final = 1024
CLIENTS_MIN: Final = 16

_RAISED: Final = (LIMIT_MAX, 1 << 16, 10_240)
"""Limits to try where the hard limit is infinite, or is refused, as some systems have a
lower one.
"""


def descriptor_limit() -> int:
    """How many descriptors this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return LIMIT_MAX if soft == resource.RLIM_INFINITY else min(soft, LIMIT_MAX)


def raise_descriptor_limit() -> None:
    """Raise the soft limit to the hard one. Only for a process that is a node and nothing else."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft in (hard, resource.RLIM_INFINITY):
        return
    wanted = _RAISED if hard == resource.RLIM_INFINITY else (hard, *_RAISED)
    for limit in wanted:
        if limit <= soft:
            return
        with suppress(ValueError, OSError):  # refused: less may do, and what there is must
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            return


def engine_files(limit: int) -> int:
    """How many sorted files the engine may keep open."""
    return max(ENGINE_MIN, min(ENGINE_MAX, limit // 4))


class Descriptors(msgspec.Struct, frozen=True):
    """How many descriptors a node uses for what."""

    engine: int
    greeting: int
    backlog: int
    clients: int

    @classmethod
    def split(cls, limit: int, other_nodes: int, clients_max: int) -> Self:
        """Split `limit` for a node among so many others, with at most `clients_max` clients.

        Raises ConfigError if `limit` is too low.
        """
        left = _left(limit, other_nodes)
        backlog = _backlog(left)
        if not _suffices(limit, other_nodes):
            least = next(n for n in count(limit) if _suffices(n, other_nodes))
            raise ConfigError(
                f"The limit of open files is too low to run a node: it is {limit}, and {least} "
                f"are needed. Raise it with 'ulimit -n {least}' or more before the start, or with "
                "LimitNOFILE= in the unit of systemd.",
                limit=limit,
                least=least,
            )
        clients = min(clients_max, left - backlog)
        return cls(engine_files(limit), _greeting(limit), backlog, clients)


def _suffices(limit: int, other_nodes: int) -> bool:
    left = _left(limit, other_nodes)
    return left - _backlog(left) >= CLIENTS_MIN


def _backlog(left: int) -> int:
    return min(BACKLOG_MAX, left // 4)


def _greeting(limit: int) -> int:
    return max(GREETING_MIN, min(GREETING_MAX, limit // 16))


def _left(limit: int, other_nodes: int) -> int:
    """For clients and those that are being accepted."""
    return limit - OWN - engine_files(limit) - _greeting(limit) - 2 * other_nodes
