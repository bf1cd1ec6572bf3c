"""The verdict after a scenario: every node gives the same answers, and all is kept."""

from __future__ import annotations

from collections.abc import Sequence

from chaos_ledger import Ledger, read
from chaos_nodes import ServedCluster, ServedNode

from kvorum import connect
from kvorum.client.entry import Entry


def verify(cluster: ServedCluster, ledger: Ledger) -> None:
    """Wait until the cluster has healed; then ask every node for every key, of all replicas."""
    cluster.await_healed()
    verify_through(cluster.nodes, ledger, cluster.topology.namespaces["default"].replicas)


def verify_through(nodes: Sequence[ServedNode], ledger: Ledger, r: int) -> None:
    """Ask each of `nodes` for every key, of `r` replicas."""
    assert ledger.acknowledged, "nothing was written"
    answers = []
    for node in nodes:
        with connect(node.url) as client:
            answers.append(read(client, ledger.keys, r))
    print(ledger)
    first = answers[0]
    vetoes = [text for key in ledger.keys for text in ledger.vetoes(key, first[key])]
    assert not vetoes, "\n".join(vetoes)
    for node, entries in zip(nodes, answers, strict=True):
        differing = [key for key in ledger.keys if _seen(entries[key]) != _seen(first[key])]
        assert not differing, f"{node.spec.name} answers otherwise than the first: {differing}"


def _seen(entry: Entry | None) -> tuple[object, ...]:
    """What all nodes must agree on. Clocks name nodes as the node that answers knows them."""
    return () if entry is None else (entry.version, entry.value, [s.value for s in entry.siblings])
