"""What a node waits for before it answers again for all that it holds, as people are told.

recovering   it has yet to compare with some nodes (`recovery.py`)
unverified   damage took records from it; it has yet to compare their tokens
             (`unverified_tokens.py`),
             or nobody can say what was there, and some nodes have damaged bytes of it
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kvorum.cluster.view import ClusterView
from kvorum.documents.status import UnreadableTokens, Waiting
from kvorum.repair.recovery import Recovery
from kvorum.replica.unverified_tokens import UnverifiedSpan, UnverifiedTokens

_LISTED_MAX: Final = 20
ADVICE: Final = (
    'Send {"full": true} to POST /repair; write or delete the damaged keys again; or give each of '
    "the nodes with the damage an empty store ('kvorum rebuild'), one after another."
)


def waiting(view: ClusterView, unverified_of: UnverifiedTokens, recovery: Recovery) -> Waiting:
    """What this node does not answer for, and whom it waits for."""
    doubts = unverified_of.tokens
    stuck = [(span, doubt) for span, doubt in doubts.items() if doubt.waits_for]
    return Waiting(
        to_compare=view.names(recovery.waits_for()),
        tokens=len(doubts),
        since_ms=_oldest(doubts.values()),
        unreadable=len(stuck),
        unreadable_listed=[
            UnreadableTokens(
                first_token=span.first.hex(),
                last_token=span.last.hex(),
                partition=view.placement.partition(span.first),
                since_ms=doubt.since_ms,
                nodes=view.names(list(doubt.waits_for)),
            )
            for span, doubt in sorted(stuck, key=lambda pair: pair[1].since_ms)[:_LISTED_MAX]
        ],
        advice=ADVICE if stuck else "",
    )


def _oldest(doubts: Iterable[UnverifiedSpan]) -> int | None:
    return min((doubt.since_ms for doubt in doubts), default=None)
