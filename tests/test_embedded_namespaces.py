"""Namespaces of an embedded store, against a model that is a dict of dicts."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

import kvorum
from kvorum.errors import ConfigError, NamespaceNotFound, NotFound, RequestError, StorageError

NAMES: Final = ("default", "a", "b", "c")
KEYS: Final = ("x", "y", "z")
KINDS: Final[list[dict[str, Any]]] = [
    {},
    {"encryption": "off"},
    {"durability": "os", "compression": "off"},
    {"durability": "none", "max_memory": 1 << 20},
]
ALTERATIONS: Final[list[dict[str, Any]]] = [
    {"compression": "off"},
    {"compression_level": 7, "compression": "zstd"},
    {"eviction": "tinylfu"},
    {"dictionary": False},
    {"timeout_ms": 500},
]


@pytest.mark.parametrize("name", [None, 7, b"a", ["a"]])
def test_a_name_that_is_no_text_is_a_wrong_request(tmp_path: Path, name: Any) -> None:
    with kvorum.open(tmp_path / "store") as store:
        for change in (store.create_namespace, store.alter_namespace, store.drop_namespace):
            with pytest.raises(RequestError, match=f"a str, and not {type(name).__name__}"):
                change(name)
        assert list(store.namespaces()) == ["default"]


class Model:
    """What should be there. What is kept in memory only is gone after a restart."""

    def __init__(self) -> None:
        self.entries: dict[str, dict[str, Any]] = {"default": {}}
        self.kinds: dict[str, dict[str, Any]] = {"default": {}}

    def restarted(self) -> None:
        for name, kind in self.kinds.items():
            if kind.get("durability") == "none":
                self.entries[name].clear()


class Walk:
    """Random steps of a store and its model."""

    def __init__(self, seed: int, path: Path) -> None:
        self._rng = random.Random(seed)
        self._path = path
        self._model = Model()
        self._store = kvorum.open(path)

    def run(self, steps: int) -> None:
        try:
            for _ in range(steps):
                self._step()
                self._check()
        finally:
            self._store.close()

    def _step(self) -> None:
        store, model, rng = self._store, self._model, self._rng
        name = rng.choice(NAMES)
        step = rng.choice(
            ["put", "put", "put", "delete", "make", "make", "alter", "drop", "reopen"]
        )
        if step == "reopen":
            store.close()
            self._store = kvorum.open(self._path)
            model.restarted()
        elif step == "make":
            self._make(name, rng.choice(KINDS))
        elif name not in model.entries:
            with pytest.raises(NamespaceNotFound):
                self._refused(step, name)
        elif step == "put":
            value = rng.randrange(1000)
            key = rng.choice(KEYS)
            store.set(key, value, namespace=name)
            model.entries[name][key] = value
        elif step == "delete":
            self._delete(name, rng.choice(KEYS))
        elif step == "alter":
            store.alter_namespace(name, **rng.choice(ALTERATIONS))
        elif name != "default":
            store.drop_namespace(name)
            del model.entries[name], model.kinds[name]

    def _refused(self, step: str, name: str) -> None:
        if step == "put":
            self._store.set("x", 1, namespace=name)
        elif step == "delete":
            self._store.delete("x", namespace=name)
        elif step == "alter":
            self._store.alter_namespace(name, ttl=1)
        else:
            self._store.drop_namespace(name)

    def _make(self, name: str, kind: dict[str, Any]) -> None:
        if name in self._model.entries:
            with pytest.raises(RequestError, match="exists, with other settings"):
                self._store.create_namespace(name, ttl=7, **kind)
            return
        settings = self._store.create_namespace(name, **kind)
        assert self._store.create_namespace(name, **kind) == settings
        self._model.entries[name] = {}
        self._model.kinds[name] = kind

    def _delete(self, name: str, key: str) -> None:
        if self._model.entries[name].pop(key, None) is None:
            with pytest.raises(NotFound):
                self._store.delete(key, namespace=name)
        else:
            self._store.delete(key, namespace=name)

    def _check(self) -> None:
        assert self._store.namespaces().keys() == self._model.entries.keys()
        for name, entries in self._model.entries.items():
            assert self._store.get_many(KEYS, namespace=name) == entries
            assert {entry.key: entry.value for entry in self._store.scan(namespace=name)} == entries


@pytest.mark.parametrize("seed", range(6))
def test_any_steps_leave_what_the_model_has(tmp_path: Path, seed: int) -> None:
    Walk(seed, tmp_path).run(50)


def test_what_is_made_has_its_settings_and_keeps_them(tmp_path: Path) -> None:
    with kvorum.open(tmp_path) as store:
        made = store.create_namespace("sessions", ttl=60, compression="off")
        assert (made.ttl, made.compression, made.replicas) == (60, "off", 1)
        assert store.set("k", 1, namespace="sessions").expires_at is not None
        altered = store.alter_namespace("sessions", ttl=0)
        assert (altered.ttl, altered.compression) == (0, "off")
        assert store.set("k", 1, namespace="sessions").expires_at is None
    with kvorum.open(tmp_path) as store:
        assert store.namespaces()["sessions"] == altered
        assert store.get("k", namespace="sessions") == 1


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("a b", {}, "1 to 64"),
        ("", {}, "1 to 64"),
        ("a", {"replicas": 2}, "2 replicas need as many nodes, and the cluster has 1"),
        ("a", {"ttl": "60"}, "ttl: it must be a whole number"),
        ("a", {"ttl": -1}, "ttl"),
        ("a", {"colour": "red"}, "colour"),
        ("a", {"durability": "none"}, "max_memory"),
        ("a", {"durability": "none", "max_memory": 1 << 40}, "memory"),
        ("a", {"max_memory": 1 << 20}, "max_memory"),
        ("default", {"ttl": 5}, "exists, with other settings"),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_changes(
    tmp_path: Path, name: str, settings: dict[str, Any], said: str
) -> None:
    with kvorum.open(tmp_path) as store:
        before = store.namespaces()
        with pytest.raises(RequestError, match=said):
            store.create_namespace(name, **settings)
        assert store.namespaces() == before


def test_what_cannot_be_altered_or_dropped_is_refused(tmp_path: Path) -> None:
    with kvorum.open(tmp_path) as store:
        store.create_namespace("a")
        for settings in ({"encryption": "off"}, {"durability": "none", "max_memory": 1 << 20}):
            with pytest.raises(RequestError):
                store.alter_namespace("a", **settings)
        with pytest.raises(RequestError, match="cannot be dropped"):
            store.drop_namespace("default")
        for act in (store.alter_namespace, store.drop_namespace):
            with pytest.raises(NamespaceNotFound):
                act("nobody")


def test_a_closed_store_changes_no_namespaces(tmp_path: Path) -> None:
    store = kvorum.open(tmp_path)
    store.close()
    with pytest.raises(ConfigError, match="closed"):
        store.create_namespace("a")


@pytest.mark.parametrize("call", ["create", "drop"])
def test_a_change_that_cannot_be_carried_out_is_told_and_nothing_is_acknowledged_after_it(
    tmp_path: Path, call: str
) -> None:
    with kvorum.open(tmp_path) as store:
        store.create_namespace("old")
        store.set("k", 1)
    store = kvorum.open(tmp_path)
    (tmp_path / "keys.json.new").mkdir()  # so the file of the keys cannot be replaced
    changes: dict[str, Callable[[], object]] = {
        "create": lambda: store.create_namespace("new"),
        "drop": lambda: store.drop_namespace("old"),
    }
    with pytest.raises(StorageError) as refused:
        changes[call]()
    assert refused.value.outcome == "unknown"
    with pytest.raises(StorageError, match="The store of node n1 has failed"):
        store.set("k", 2)
    with pytest.raises(StorageError, match="The store of node n1 has failed"):
        store.set("k", 2, namespace="new" if call == "create" else "default")
    store.close()
    (tmp_path / "keys.json.new").rmdir()
    with kvorum.open(tmp_path) as store:
        assert store.get("k") == 1
        assert ("new" in store.namespaces()) == (call == "create")
        assert ("old" in store.namespaces()) == (call != "drop")
