"""Namespaces of a local store that are made, altered and dropped while it runs, and killed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import xxhash
from kit.store_lives import (
    KEPT_BYTES,
    NAMESPACES,
    Clock,
    Life,
    files_with,
    hint_key,
    life,
    record_key,
    settings,
)

from kvorum.model.errors import ConfigError, UnavailableError
from kvorum.sealing.seal import namespace_of
from kvorum.storage import durable_file
from kvorum.storage.space import RESERVE
from kvorum.storage.syncer import InlineSyncer, SwitchedSyncer, Syncers

COUNT: Final = 60
LATER_S: Final = 1000.0
WORDS: Final = (b"secret-name", b"secret-value")
KINDS: Final[dict[str, dict[str, Any]]] = {
    "sealed": {},
    "open": {"encryption": "off", "compression": "off"},
    "kept": {"durability": "none", "max_memory": KEPT_BYTES},
}
LIES_OPEN: Final = KINDS["open"]


def key_of(number: int, namespace: str = "new") -> bytes:
    return record_key(number * 0x9E3779B97F4A7C15 % (1 << 64), namespace, f"secret-name {number}")


def fill(one: Life, namespace: str = "new", value: str = "secret-value") -> None:
    for number in range(COUNT):
        one.put(key_of(number, namespace), f'"{value} {number}"')
    one.turn()


def flushed_and_not(one: Life, namespace: str = "new") -> None:
    """Records and hints of it in the engine's files, in its log, and in the journal."""
    fill(one, namespace)
    for number in range(COUNT):
        one.put(hint_key(key_of(number, namespace)), f"{number}")
    one.flushed()
    fill(one, namespace, "secret-value newer")


def of(one: Life, namespace: str = "new") -> dict[bytes, bytes]:
    wanted = namespace.encode()
    return {key: data for key, data in one.contents().items() if namespace_of(key) == wanted}


@contextmanager
def own(path: Path, **options: Any) -> Iterator[Life]:
    with life(path, own_catalog=True, **options) as one:
        one.tend()
        yield one


# Made


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_was_made_serves_at_once(tmp_path: Path, kind: str) -> None:
    with own(tmp_path) as one:
        one.create("new", **KINDS[kind])
        fill(one)
        assert one.contents() == one.wanted
        assert one.parts.caches()["new"].entries == (COUNT if kind == "kept" else 0)


@pytest.mark.parametrize("kind", ["sealed", "open"])
def test_one_that_was_made_is_there_after_a_stop_and_after_a_crash(
    tmp_path: Path, kind: str
) -> None:
    with own(tmp_path / "n1") as one:
        one.create("new", **KINDS[kind])
        fill(one)
        crashed = one.crash(tmp_path / "crashed")
        one.flushed()
        assert bool(files_with(one.path / "rocks", WORDS)) == (kind == "open")
    for path in (crashed, one.path):
        with own(path) as again:
            assert again.parts.catalog == one.parts.catalog
            assert again.contents() == one.wanted


def test_the_file_of_the_cluster_rules_where_the_directory_does_not(tmp_path: Path) -> None:
    declared = {**NAMESPACES, "new": settings()}
    with life(tmp_path, declared) as one:
        fill(one)
    with life(tmp_path) as again:
        assert again.parts.catalog.namespaces.keys() == NAMESPACES.keys()
        assert again.parts.catalog.version > one.parts.catalog.version
    with life(tmp_path, declared) as third:
        assert third.contents() == one.wanted


def test_the_directory_of_an_earlier_version_begins_with_what_is_declared(tmp_path: Path) -> None:
    with life(tmp_path) as one:
        fill(one, "default")
    (tmp_path / "catalog.json").unlink()
    with own(tmp_path) as again:
        assert dict(again.parts.catalog.namespaces) == NAMESPACES
        assert again.contents() == one.wanted


# Dropped


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_one_that_was_dropped_is_left(tmp_path: Path, kind: str) -> None:
    with own(tmp_path) as one:
        one.create("new", **KINDS[kind])
        fill(one, "default", "other")
        if kind == "kept":
            fill(one)
        else:
            flushed_and_not(one)
        one.drop("new")
        assert one.contents() == one.wanted
        assert "new" not in one.parts.caches()
        one.scrubbed()
        assert not one.parts.namespaces.removals
        assert one.contents() == one.wanted
    assert files_with(tmp_path, WORDS[1:]) == []
    with own(tmp_path) as again:
        assert "new" not in again.parts.catalog.namespaces
        assert again.contents() == one.wanted


def test_an_encrypted_one_can_be_made_again_as_soon_as_its_keys_are_gone(tmp_path: Path) -> None:
    with own(tmp_path / "n1") as one:
        one.create("new")
        flushed_and_not(one)
        one.drop("new")
        one.turn()
        one.tick()
        one.create("new", **LIES_OPEN)
        assert of(one) == {}
        fill(one, value="younger")
        assert one.contents() == one.wanted
        crashed = one.crash(tmp_path / "crashed")
        one.scrubbed()
        assert one.contents() == one.wanted
    for path in (crashed, one.path):
        with own(path) as again:
            again.scrubbed()
            assert again.contents() == one.wanted


def test_the_name_of_one_that_lies_open_is_taken_until_its_records_are_deleted(
    tmp_path: Path,
) -> None:
    with own(tmp_path) as one:
        one.create("new", **LIES_OPEN)
        flushed_and_not(one)
        one.drop("new")
        one.turn()
        with pytest.raises(UnavailableError, match="still being deleted"):
            one.create("new", **LIES_OPEN)
    with own(tmp_path, began_s=LATER_S) as again:
        with pytest.raises(UnavailableError, match="still being deleted"):
            again.create("new")
        again.wait(lambda: not again.parts.namespaces.removals)
        again.create("new", **LIES_OPEN)
        assert of(again) == {}
        fill(again, value="younger")
        assert again.contents() == again.wanted


def test_what_is_under_way_when_one_is_dropped_does_not_come_back(tmp_path: Path) -> None:
    with own(tmp_path / "n1") as one:
        one.create("new")
        one.create("next", **LIES_OPEN)
        one.put(key_of(1), '"secret-value"')
        one.put(key_of(1, "next"), '"secret-value"')
        one.drop("new")
        one.drop("next")
        one.put(key_of(2), '"late"')
        one.put(hint_key(key_of(2)), "late")
        one.delete(key_of(3, "next"))
        one.turn()
        assert one.acknowledged == 5
        crashed = one.crash(tmp_path / "crashed")
        one.wait(lambda: not one.parts.namespaces.removals)
        one.flushed()
        for name in ("new", "next"):
            one.create(name)
            assert of(one, name) == {}
    with own(crashed) as again:
        again.wait(lambda: not again.parts.namespaces.removals)
        for name in ("new", "next"):
            again.create(name)
            assert of(again, name) == {}


@pytest.mark.parametrize("kind", ["sealed", "open"])
def test_one_that_was_dropped_and_is_in_the_cluster_file_at_the_next_start_is_empty(
    tmp_path: Path, kind: str
) -> None:
    declared = {**NAMESPACES, "new": settings(**KINDS[kind])}
    with life(tmp_path / "n1", declared) as one:
        one.tend()
        flushed_and_not(one)
        one.drop("new")
        crashed = one.crash(tmp_path / "crashed")
    for path in (crashed, one.path):
        with life(path, declared, began_s=LATER_S) as again:
            again.tend()
            assert of(again) == {}
            assert not again.parts.namespaces.removals
            fill(again, value="younger")
        with life(path, declared, began_s=LATER_S) as third:
            third.tend()
            third.scrubbed()
            assert third.contents() == again.wanted


# Killed

Step = Callable[[Life], None]


def make(one: Life) -> None:
    one.create("made", **LIES_OPEN)


def drop_sealed(one: Life) -> None:
    one.drop("sealed")


def drop_open(one: Life) -> None:
    one.drop("open")


class Kills:
    """Copies of a directory as a kill leaves it: before and after each file that is replaced, and
    at each tick until nothing is to be done any more.
    """

    def __init__(self, to: Path, patch: pytest.MonkeyPatch) -> None:
        self.paths: list[Path] = []
        self._to = to
        self._replace = durable_file.replace
        self._one: Life | None = None
        patch.setattr(durable_file, "replace", self._replaced)

    def along(self, one: Life, step: Step) -> None:
        self._one = one
        step(one)
        while one.parts.namespaces.removals or one.scrub.running:
            self.copy()
            one.tick()
        self.copy()
        self._one = None

    def copy(self) -> None:
        if self._one is not None and len(self.paths) < 40:
            self.paths.append(self._one.crash(self._to / str(len(self.paths))))

    def _replaced(self, file: Path, data: bytes) -> None:
        self.copy()
        self._replace(file, data)
        self.copy()


@pytest.mark.parametrize("step", [make, drop_sealed, drop_open])
def test_a_kill_between_any_two_steps_leaves_the_old_namespaces_or_the_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: Step
) -> None:
    kills = Kills(tmp_path, monkeypatch)
    with own(tmp_path / "n1") as one:
        one.create("sealed")
        one.turn()
        fill(one, "sealed")
        fill(one, "open")
        one.flushed()
        fill(one, "sealed", "secret-value newer")
        before, wanted = one.parts.catalog, dict(one.wanted)
        kills.along(one, step)
        after = one.parts.catalog
    assert len(kills.paths) > 4
    for path in kills.paths:
        with own(path) as again:
            catalog = again.parts.catalog
            assert catalog in (before, after)
            there = {name.encode() for name in catalog.namespaces}
            left = {key: data for key, data in wanted.items() if namespace_of(key) in there}
            assert again.contents() == left
            again.wait(lambda: not again.parts.namespaces.removals)
            again.scrubbed()
            for name in {*before.namespaces, *after.namespaces} - catalog.namespaces.keys():
                again.create(name)
                assert of(again, name) == {}
            assert again.contents() == left


def test_a_kill_while_a_dropped_one_is_made_anew_leaves_it_empty_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = Kills(tmp_path, monkeypatch)

    def drop_and_make(one: Life) -> None:
        one.drop("new")
        one.turn()
        one.create("new")

    with own(tmp_path / "n1") as one:
        one.create("new")
        flushed_and_not(one)
        old = of(one)
        kills.along(one, drop_and_make)
    states = set()
    for path in kills.paths:
        with own(path) as again:
            found = of(again)
            states.add((len(found), "new" in again.parts.catalog.namespaces))
            assert found in ({}, old)
    assert states == {(len(old), True), (0, False), (0, True)}


# Altered


ALTERATIONS: Final[list[dict[str, Any]]] = [
    {"compression": "off"},
    {"compression_level": 9},
    {"dictionary": False},
    {"dictionary": True, "eviction": "tinylfu"},
]


def test_other_settings_of_sealing_hold_for_what_comes_and_open_what_is_there(
    tmp_path: Path,
) -> None:
    with own(tmp_path / "n1") as one:
        one.create("new")
        for number, changes in enumerate(ALTERATIONS):
            fill(one, value=f"{number}")
            one.flushed()
            one.change(one.parts.catalog.altering("new", settings(**changes), 1))
            assert one.contents() == one.wanted
            part = one.parts.vault.seal.namespaces[b"new"]
            packed = changes.get("compression") != "off"
            assert (part.manner.codec is not None) == packed
            assert (part.sampler is not None) == (packed and changes.get("dictionary", True))
        crashed = one.crash(tmp_path / "crashed")
    for path in (crashed, one.path):
        with own(path) as again:
            assert again.parts.catalog == one.parts.catalog
            assert again.contents() == one.wanted


def kept(max_memory: int, eviction: str = "lru") -> dict[str, Any]:
    return {"durability": "none", "max_memory": max_memory, "eviction": eviction}


def test_less_memory_gives_up_entries_and_another_eviction_none(tmp_path: Path) -> None:
    with own(tmp_path) as one:
        one.create("new", **kept(KEPT_BYTES))
        for number in range(20):
            one.put(key_of(number), "x" * 80_000)
        assert one.parts.caches()["new"].entries == 20
        one.change(one.parts.catalog.altering("new", settings(**kept(KEPT_BYTES, "tinylfu")), 1))
        assert len(of(one)) == 20
        one.change(one.parts.catalog.altering("new", settings(**kept(KEPT_BYTES // 2)), 1))
        status = one.parts.caches()["new"]
        assert 0 < status.entries < 20
        assert status.bytes <= KEPT_BYTES // 2
        assert len(of(one)) == status.entries


def test_what_is_promised_must_fit_and_comes_back(tmp_path: Path) -> None:
    with own(tmp_path) as one:
        one.create("new", **kept(KEPT_BYTES))
        before = (tmp_path / "catalog.json").read_bytes()
        catalog = one.parts.catalog
        with pytest.raises(ConfigError, match="memory"):
            one.create("next", **kept(1 << 20))
        assert one.parts.catalog == catalog
        assert (tmp_path / "catalog.json").read_bytes() == before
        assert "next" not in one.parts.caches()
        assert "next" not in one.parts.vault.keyring.namespaces
        one.drop("new")
        one.turn()
        one.create("next", **kept(KEPT_BYTES))
    with own(tmp_path) as again:
        assert "next" in again.parts.caches()


class Counted(InlineSyncer):
    syncs = 0

    def start(self, sync: Any, finished: Any) -> None:
        Counted.syncs += 1
        super().start(sync, finished)


def _counted(clock: Clock) -> Syncers:
    def switched() -> SwitchedSyncer:
        return SwitchedSyncer(lambda: Counted(clock.call_soon), clock.call_soon, waits=True)

    return Syncers(switched(), switched())


def test_acks_wait_for_the_disk_from_when_the_first_namespace_asks_for_it(
    tmp_path: Path,
) -> None:
    declared = {"default": settings(durability="os")}
    Counted.syncs = 0
    with own(tmp_path / "n1", namespaces=declared, syncers=_counted) as one:
        fill(one, "default")
        assert Counted.syncs == 0
        one.create("safe", durability="fsync")
        one.turn()
        made = Counted.syncs
        fill(one, "default")
        fill(one, "safe")
        assert Counted.syncs >= made + 2
        crashed = one.crash(tmp_path / "crashed")
        one.drop("safe")
        one.turn()
        fill(one, "default", "newer")
        one.scrubbed()
        ended = Counted.syncs
        fill(one, "default", "newest")
        assert Counted.syncs == ended
        last = one.crash(tmp_path / "last")
        wanted = dict(one.wanted)
    with own(crashed, namespaces=declared, syncers=_counted) as again:
        assert len(again.contents()) == 2 * COUNT
        before = Counted.syncs
        fill(again, "default")
        assert Counted.syncs > before
    for path in (last, one.path):
        with own(path, namespaces=declared, syncers=_counted) as again:
            assert again.contents() == wanted


def test_a_store_begun_without_waiting_has_synced_all_when_it_begins_to_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("kvorum.storage.log_rotation.sync_file", synced.append)
    declared = {"default": settings(durability="os")}
    with own(tmp_path, namespaces=declared, syncers=_counted) as one:
        fill(one, "default")
        assert synced == []
        one.change(one.parts.catalog.altering("default", settings(), 1))
        assert synced == sorted((tmp_path / "journal").glob("*.log"))
        fill(one, "default", "newer")
        assert one.contents() == one.wanted


# What is there already


def test_a_damaged_catalog_is_named_and_nothing_is_begun(tmp_path: Path) -> None:
    with own(tmp_path / "n1") as one:
        one.create("new")
    whole = (tmp_path / "n1" / "catalog.json").read_bytes()
    for at in range(0, len(whole), 37):
        spoilt = bytearray(whole)
        spoilt[at] ^= 1
        shutil.rmtree(tmp_path / "n2", ignore_errors=True)
        shutil.copytree(one.path, tmp_path / "n2", ignore=shutil.ignore_patterns(RESERVE))
        (tmp_path / "n2" / "catalog.json").write_bytes(spoilt)
        with pytest.raises(ConfigError, match=r"catalog\.json"):
            Life(tmp_path / "n2", own_catalog=True)


# Who rules


def test_a_cluster_file_does_not_take_back_what_was_changed_in_the_directory(
    tmp_path: Path,
) -> None:
    with own(tmp_path) as one:
        one.create("new")
        fill(one)
    with pytest.raises(
        ConfigError, match=r"differ from those of the given one: new\. Start the node"
    ):
        Life(tmp_path)
    with own(tmp_path) as one:
        assert len(of(one)) == COUNT
    declared = {**NAMESPACES, "new": settings()}
    with life(tmp_path, declared) as one:
        assert len(of(one)) == COUNT


def without_a_word_on_hash_tags(path: Path) -> None:
    """Make the catalog one of a version that knew no hash tags."""
    file = json.loads((path / "catalog.json").read_bytes())
    for namespace in file["state"]["namespaces"].values():
        del namespace["hash_tags"]
    state = msgspec.json.encode(file["state"])
    file["check"] = xxhash.xxh3_64_hexdigest(b"1" + state)
    (path / "catalog.json").write_bytes(msgspec.json.encode(file | {"state": msgspec.Raw(state)}))


def test_namespaces_from_before_hash_tags_go_on_without_them(tmp_path: Path) -> None:
    with own(tmp_path) as one:
        one.create("new")
        assert one.parts.catalog.settings("new").hash_tags
    without_a_word_on_hash_tags(tmp_path)
    with own(tmp_path) as again:
        assert not again.parts.catalog.settings("new").hash_tags
        again.create("newest")
        assert again.parts.catalog.settings("newest").hash_tags
    with own(tmp_path) as third:
        assert not third.parts.catalog.settings("new").hash_tags
        assert third.parts.catalog.settings("newest").hash_tags


def test_a_cluster_file_must_say_that_a_namespace_has_no_hash_tags(tmp_path: Path) -> None:
    with life(tmp_path, {**NAMESPACES, "new": settings()}) as one:
        fill(one)
    without_a_word_on_hash_tags(tmp_path)
    with pytest.raises(ConfigError, match=r"was made with 'hash_tags = false'.*Write this line"):
        Life(tmp_path, {**NAMESPACES, "new": settings()})
    said = {
        name: msgspec.structs.replace(one, hash_tags=False)
        for name, one in {**NAMESPACES, "new": settings()}.items()
    }
    with life(tmp_path, said) as again:
        assert len(of(again)) == COUNT


def test_what_a_cluster_file_has_lost_is_told_and_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    declared = {**NAMESPACES, "new": settings()}
    with life(tmp_path, declared) as one:
        fill(one)
    with life(tmp_path):
        pass
    assert "'new' is not in the cluster file any more" in caplog.text
    with life(tmp_path, declared) as one:
        assert len(of(one)) == COUNT


def test_a_lost_list_of_namespaces_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with own(tmp_path) as one:
        one.create("new")
        fill(one)
        one.flushed()
    (tmp_path / "catalog.json").unlink()
    with own(tmp_path) as one:
        assert "has keys of 'new', whose entries are not served" in caplog.text
        one.create("new")
        assert len(of(one)) == COUNT


def test_the_directory_of_another_node_is_named_before_its_namespaces_are_looked_at(
    tmp_path: Path,
) -> None:
    with own(tmp_path):
        pass
    node = tmp_path / "node.json"
    node.write_bytes(node.read_bytes().replace(b'"test"', b'"other"'))
    (tmp_path / "catalog.json").write_bytes(b"damaged")
    with pytest.raises(ConfigError, match=r"node\.json"):
        Life(tmp_path)
