"""Catalogs: what may follow on what, and by what two of them differ."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.topologies import even_cluster

from kvorum.model.catalog import Catalog, difference, passed_moment
from kvorum.model.errors import ConfigError, NamespaceNotFound, RequestError
from kvorum.model.topology import NamespaceSettings

NODES = 3
SETTINGS = NamespaceSettings.majority(3)


def catalog(*names: str) -> Catalog:
    return Catalog(namespaces=dict.fromkeys(("default", *names), SETTINGS))


def test_a_topology_declares_the_first_catalog() -> None:
    declared = Catalog.declared(even_cluster(3, 3))
    assert declared.version == 1
    assert declared.namespaces == {"default": SETTINGS}


def test_each_change_makes_the_next_version_and_leaves_the_former_as_it_was() -> None:
    first = catalog()
    second = first.creating("orders", SETTINGS, NODES)
    third = second.altering("orders", msgspec.structs.replace(SETTINGS, ttl=60), NODES)
    fourth = third.dropping("orders")
    assert [c.version for c in (first, second, third, fourth)] == [1, 2, 3, 4]
    assert third.settings("orders").ttl == 60
    assert "orders" not in first.namespaces
    assert fourth.namespaces == first.namespaces


def test_who_asks_for_one_that_is_not_there_learns_which_are_and_how_to_make_it() -> None:
    with pytest.raises(NamespaceNotFound) as caught:
        catalog("orders").settings("order")
    assert caught.value.message == "No such namespace: 'order'. There are 'default', 'orders'."
    assert "'kvorum namespace create order'" in caught.value.details["advice"]
    many = catalog(*(f"n{number:03}" for number in range(500)))
    with pytest.raises(NamespaceNotFound, match=r"'default', 'n000'.* and 491 more\."):
        many.settings("order")


def test_a_name_is_given_once_and_only_what_exists_is_altered_or_dropped() -> None:
    with pytest.raises(ConfigError, match="'orders' exists already"):
        catalog("orders").creating("orders", SETTINGS, NODES)
    with pytest.raises(NamespaceNotFound, match="'orders'"):
        catalog().altering("orders", SETTINGS, NODES)
    with pytest.raises(NamespaceNotFound, match="'orders'"):
        catalog().dropping("orders")
    with pytest.raises(ConfigError, match="'default' cannot be dropped"):
        catalog().dropping("default")


def test_a_namespace_that_the_cluster_cannot_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="namespace 'wide': replicas"):
        catalog().creating("wide", NamespaceSettings.majority(4), NODES)
    with pytest.raises(ConfigError, match="is no name"):
        catalog().creating("no good", SETTINGS, NODES)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"replicas": 2}, "'replicas'"),
        ({"encryption": "off"}, "'encryption'"),
        ({"durability": "none", "max_memory": 1 << 20}, "durability 'fsync'"),
    ],
)
def test_what_would_move_data_is_not_altered(changes: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        catalog().altering("default", msgspec.structs.replace(SETTINGS, **changes), NODES)


_SOME = st.dictionaries(
    st.sampled_from("abcd"), st.sampled_from([SETTINGS, msgspec.structs.replace(SETTINGS, ttl=9)])
)


@given(_SOME, _SOME)
def test_a_difference_leads_from_one_catalog_to_the_other(
    before: dict[str, NamespaceSettings], after: dict[str, NamespaceSettings]
) -> None:
    found = difference(Catalog(namespaces=before), Catalog(namespaces=after))
    made = {n: s for n, s in before.items() if n not in found.dropped}
    made |= {name: after[name] for name in (*found.created, *found.altered)}
    assert made == after
    assert bool(found) == (before != after)


def test_a_moment_of_a_drop_has_passed_and_is_one() -> None:
    assert passed_moment(None, 7_000) == 7_000
    assert passed_moment(5_000, 7_000) == 5_000
    with pytest.raises(RequestError, match="has not passed yet"):
        passed_moment(10**13, 7_000)
    with pytest.raises(RequestError, match="-1 ms is none"):
        passed_moment(-1, 7_000)
