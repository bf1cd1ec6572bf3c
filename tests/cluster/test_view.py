"""The view of a node: where keys live, and how namespaces come and go."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.cluster.view import ClusterView
from kvorum.model.catalog import Catalog
from kvorum.model.errors import InvalidKey, NamespaceNotFound
from kvorum.model.topology import NamespaceSettings, NodeSpec, Topology

SETTINGS = NamespaceSettings.majority(3)
SLOPPY = msgspec.structs.replace(SETTINGS, quorum="sloppy")
VOLATILE = msgspec.structs.replace(SETTINGS, durability="none", max_memory=1 << 20)
NUMBERS = (2, 3, 5, 8, 13)


def topology(**namespaces: NamespaceSettings) -> Topology:
    """Five nodes whose numbers are no positions."""
    nodes = [
        NodeSpec(name=f"n{n}", http=f"127.0.0.1:{1000 + n}", peer=f"127.0.0.1:{2000 + n}", number=n)
        for n in NUMBERS
    ]
    return Topology(cluster="c", nodes=tuple(nodes), namespaces={"default": SETTINGS, **namespaces})


def view(local: int = 2, **namespaces: NamespaceSettings) -> ClusterView:
    return ClusterView(topology(**namespaces), local)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20), st.sampled_from(NUMBERS))
def test_all_nodes_see_a_key_in_the_same_place(key: str, local: int) -> None:
    here, there = view().place("default", key), view(local).place("default", key)
    assert here.key == there.key
    assert here.replicas == there.replicas
    assert len(here.replicas.natural) == 3
    assert set(here.replicas.natural) <= set(NUMBERS)
    assert here.replicas.fallbacks == ()


def test_under_a_sloppy_quorum_all_others_stand_in() -> None:
    seen = view(loose=SLOPPY)
    strict = seen.place("default", "k").replicas
    for sloppy in (seen.place("loose", "k"), seen.place("default", "k", "sloppy")):
        assert sloppy.replicas.natural == strict.natural
        assert sorted(sloppy.replicas.preference) == list(NUMBERS)
    assert seen.place("loose", "k", "strict").replicas == strict


def test_owners_are_found_by_the_storage_key_too() -> None:
    seen = view()
    place = seen.place("default", "k")
    assert seen.owners_of(place.key) == place.replicas.natural
    assert seen.owners_of(place.key.replace(b"default", b"another")) == ()


def test_what_is_not_there_or_no_key_is_refused() -> None:
    with pytest.raises(NamespaceNotFound, match="'none'"):
        view().place("none", "k")
    with pytest.raises(InvalidKey):
        view().place("default", "")


def test_names_of_nodes_and_who_shares_data_with_this_one() -> None:
    seen = view(5)
    assert seen.local_name == "n5"
    assert seen.names([13, 2]) == ["n13", "n2"]
    assert seen.others() == [2, 3, 8, 13]
    assert seen.partners() == {2, 3, 8, 13}


def test_subscribers_are_told_in_order_once_the_view_has_changed() -> None:
    seen = view()
    told: list[tuple[str, int, int]] = []

    def listener(name: str) -> None:
        def hear(old: Catalog, new: Catalog) -> None:
            assert seen.catalog is new
            told.append((name, old.version, new.version))

        seen.subscribe(hear)

    listener("first")
    listener("second")
    seen.change_catalog(seen.catalog.creating("orders", SETTINGS, len(NUMBERS)))
    assert told == [("first", 1, 2), ("second", 1, 2)]


def test_a_namespace_serves_from_when_it_is_made_until_it_is_dropped() -> None:
    seen = view()
    made = seen.catalog.creating("cache", VOLATILE, 5)
    seen.change_catalog(made.creating("wide", NamespaceSettings.majority(5), 5))
    place = seen.place("cache", "k")
    assert seen.is_volatile(place.key)
    assert seen.knows(place.key)
    assert len(seen.place("wide", "k").replicas.natural) == 5
    assert [rule.id for rule in seen.rules] == ["3", "5"]
    seen.change_catalog(seen.catalog.dropping("cache").dropping("wide"))
    assert not seen.is_volatile(place.key)
    assert not seen.knows(place.key)
    assert [rule.id for rule in seen.rules] == ["3"]
    with pytest.raises(NamespaceNotFound):
        seen.place("wide", "k")


def test_an_altered_namespace_goes_by_its_new_settings() -> None:
    seen = view()
    altered = seen.catalog.altering("default", SLOPPY, 5)
    seen.change_catalog(altered)
    place = seen.place("default", "k")
    assert place.settings is SLOPPY
    assert len(place.replicas.fallbacks) == 2
