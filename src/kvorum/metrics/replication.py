"""Metrics of replication: what nodes do for each other, and what they know of each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client.core import Metric

from kvorum.documents.status import Status
from kvorum.metrics.metric import Declared, counter, gauge

_COUNTERS: Final[dict[str, Declared]] = {
    "reads": counter("reads_total", "Reads that this node carried out for clients and nodes."),
    "writes": counter("writes_total", "Writes that this node coordinated."),
    "forwards": counter("forwards_total", "Writes sent to a node that can coordinate them."),
    "timeouts": counter("operation_timeouts_total", "Operations whose time was over."),
    "speculative_reads": counter(
        "speculative_reads_total", "Reads that asked a spare replica, as the first ones were slow."
    ),
    "repairs": counter("read_repairs_total", "Records sent to a replica that a read found stale."),
    "stand_in_writes": counter(
        "stand_in_writes_total", "Writes coordinated by a node that owns no copy of the key."
    ),
    "handoffs": counter("handoffs_total", "Writes that a node took in the place of an owner."),
    "hints_stored": counter("hints_stored_total", "Hints noted: which node missed which write."),
    "hints_replayed": counter("hints_replayed_total", "Hints whose record was delivered."),
    "anti_entropy_repairs": counter(
        "anti_entropy_repairs_total", "Records that comparing replicas has repaired."
    ),
    "leaves_corrected": counter(
        "tree_leaves_corrected_total", "Leaves of hash trees that did not match their records."
    ),
    "tombstones_collected": counter("tombstones_collected_total", "Tombstones removed for good."),
    "versions_expired": counter("versions_expired_total", "Versions removed after they expired."),
    "lifetimes_refused": counter(
        "lifetimes_refused_total", "Writes with a lifetime refused, as the clock was wrong."
    ),
    "corrupt_records": counter("corrupt_records_total", "Records that were found damaged."),
    "disowned_writes": counter(
        "disowned_writes_total", "Writes that a node did not know though they bear its name."
    ),
}
"""By name in the status document."""
_MEMBERSHIP: Final[dict[str, Declared]] = {
    "suspicions": counter("suspicions_total", "Times that a node was suspected to be down."),
    "refutations": counter("refutations_total", "Suspicions that turned out to be wrong."),
    "probes": counter("probes_total", "Probes sent to nodes that had fallen silent."),
    "refused": counter("membership_refused_total", "Membership messages that cannot be true."),
}
_LINKS: Final[dict[str, Declared]] = {
    "bytes_in": counter("link_received_bytes_total", "Bytes received from other nodes."),
    "bytes_out": counter("link_sent_bytes_total", "Bytes sent to other nodes."),
    "frames_in": counter("link_received_frames_total", "Frames received from other nodes."),
    "frames_out": counter("link_sent_frames_total", "Frames sent to other nodes."),
    "messages_in": counter("link_received_messages_total", "Messages received from other nodes."),
    "messages_out": counter("link_sent_messages_total", "Messages sent to other nodes."),
    "messages_dropped": counter("link_dropped_messages_total", "Messages never written."),
    "links_opened": counter("links_opened_total", "Links to other nodes that were opened."),
    "links_lost": counter("links_lost_total", "Links to other nodes that were lost."),
    "links_refused": counter("links_refused_total", "Links refused by either side."),
    "protocol_errors": counter("link_protocol_errors_total", "Errors of the protocol on links."),
}

NODE_UP: Final = gauge("node_up", "1 if the node is linked and not suspected, else 0.", "node")
NODE_STATE: Final = gauge(
    "node_state", "1 for the state that this node takes the other to be in.", "node", "state"
)
LINK_UP: Final = gauge("link_up", "1 if there is a link to the node, else 0.", "node")
CLOCK_OFFSET: Final = gauge(
    "clock_offset_seconds", "By how much the node's clock is ahead of this one's.", "node"
)
CLOCK_WRONG: Final = gauge(
    "clock_wrong", "1 if the clock is not that of a majority of nodes, else 0."
)
HINTS: Final = gauge("hints_waiting", "Hints that wait for the node to return.", "node")
HINT_AGE: Final = gauge("hint_age_seconds", "The age of the oldest of these.", "node")
UNDER_WAY: Final = gauge("operations_under_way", "Operations with other nodes under way.")
RECOVERING: Final = gauge("recovering", "1 while the node answers no reads, else 0.")
FORGOT: Final = gauge("forgot", "1 while the node lacks writes that it had acknowledged, else 0.")
UNVERIFIED: Final = gauge("unverified_ranges", "Spans of tokens that the node does not answer for.")
UNREADABLE: Final = gauge("unreadable_ranges", "Those of them that no node can give.")
PARTITIONS: Final = gauge("partitions", "Partitions that the node shares with others.")
COMPARED: Final = gauge("partitions_compared", "Those that have been compared since its start.")
ROUND: Final = gauge(
    "anti_entropy_oldest_round_timestamp_seconds",
    "When the partition that has waited longest was last compared; absent before all were.",
)
_MS: Final = 1000
_STATES: Final = ("up", "suspect", "down")
_WRONG: Final = ("wrong", "disputed")

METRICS: Final = (
    *_COUNTERS.values(),
    *_MEMBERSHIP.values(),
    *_LINKS.values(),
    *(NODE_UP, NODE_STATE, LINK_UP, CLOCK_OFFSET, CLOCK_WRONG, HINTS, HINT_AGE, UNDER_WAY),
    *(RECOVERING, FORGOT, UNVERIFIED, UNREADABLE, PARTITIONS, COMPARED, ROUND),
)


def collect(status: Status, links: Mapping[str, int]) -> Iterator[Metric]:
    """The metrics of the node that has this `status`. `links`: of its traffic, by name."""
    for names, values in (
        (_COUNTERS, status.counters),
        (_MEMBERSHIP, status.membership),
        (_LINKS, links),
    ):
        for name, declared in names.items():
            yield declared.of(values.get(name, 0))
    yield UNDER_WAY.of(status.operations)
    yield RECOVERING.of(status.recovering)
    yield FORGOT.of(status.forgot)
    yield from _nodes(status)
    yield from _repair(status)


def _nodes(status: Status) -> Iterator[Metric]:
    others = [node for node in status.nodes if not node.is_self]
    yield NODE_UP.by_label(((node.name,), node.up) for node in status.nodes)
    yield NODE_STATE.by_label(
        ((node.name, state), node.state == state) for node in others for state in _STATES
    )
    yield LINK_UP.by_label(((node.name,), node.linked) for node in others)
    yield CLOCK_OFFSET.by_label(
        ((node.name,), node.clock_ahead_ms / _MS)
        for node in others
        if node.clock_ahead_ms is not None
    )
    yield CLOCK_WRONG.of(status.clock is not None and status.clock.state in _WRONG)
    yield HINTS.by_label(((node.name,), node.hints_owed) for node in others)
    yield HINT_AGE.by_label(
        ((node.name,), node.hints.oldest_s) for node in others if node.hints is not None
    )


def _repair(status: Status) -> Iterator[Metric]:
    if status.waiting is not None:
        yield UNVERIFIED.of(status.waiting.tokens)
        yield UNREADABLE.of(status.waiting.unreadable)
    rounds = status.anti_entropy
    if rounds is not None:
        yield PARTITIONS.of(rounds.partitions)
        yield COMPARED.of(rounds.compared)
        ended_ms = rounds.oldest_round_ms
        yield ROUND.by_label([] if ended_ms is None else [((), ended_ms / _MS)])
