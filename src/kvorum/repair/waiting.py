"""What keeps a node from answering for all that it stores, as a document for people.

recovering   it has yet to compare its copies with those of some nodes (`recovery.py`)
unverified   damage took records from it, whose tokens it has yet to compare with the other owners
             (`replica/unverified_tokens.py`); or no owner can say what was stored there, and some
             nodes have damaged records of it
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
    """What this node does not answer for, and which nodes it waits for. `tokens`: how many spans of
    tokens are unverified. `unreadable`: how many of them no owner can answer for; those that have
    waited longest are listed.
    """
    unverified = unverified_of.tokens
    stuck = [(span, found) for span, found in unverified.items() if found.waits_for]
    return Waiting(
        to_compare=view.names(recovery.waits_for()),
        tokens=len(unverified),
        since_ms=_oldest(unverified.values()),
        unreadable=len(stuck),
        unreadable_listed=[
            UnreadableTokens(
                first_token=span.first.hex(),
                last_token=span.last.hex(),
                partition=view.placement.partition(span.first),
                since_ms=found.since_ms,
                nodes=view.names(list(found.waits_for)),
            )
            for span, found in sorted(stuck, key=lambda pair: pair[1].since_ms)[:_LISTED_MAX]
        ],
        advice=ADVICE if stuck else "",
    )


def _oldest(spans: Iterable[UnverifiedSpan]) -> int | None:
    return min((span.since_ms for span in spans), default=None)
