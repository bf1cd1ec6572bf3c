"""The keyring: who may open it, what changes leave on disk, and what a crash leaves."""

from __future__ import annotations

import os
import stat
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kvorum.model.errors import ConfigError, NamespaceNotFound, StorageError
from kvorum.sealing.keyring import Keyring
from kvorum.sealing.keyring_file import KeyringFile
from kvorum.sealing.keyring_state import KEY_ID_MAX, KeyringState
from kvorum.sealing.master_key import FileSource, MasterKey, parse_source

KEY = bytes(range(100, 132))
OTHER = bytes(range(32))
NONCE = bytes(12)
NAMESPACES = ("default", "sessions")


class Given:
    """A source that has the key already."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def load(self) -> MasterKey:
        return MasterKey(self._key)

    def describe(self) -> str:
        return "a test"


def create(path: Path, *namespaces: str) -> Keyring:
    return Keyring.create(path, "c", Given(KEY), namespaces or NAMESPACES, 1000)


def reopen(path: Path, *namespaces: str, key: bytes = KEY) -> Keyring:
    return Keyring.open(path, "c", Given(key), namespaces, 9000)


def seal(keyring: Keyring, namespace: str) -> tuple[int, bytes]:
    key = keyring.active(namespace)
    return key.id, key.cipher.encrypt(NONCE, b"value", None)


def unseal(keyring: Keyring, sealed: tuple[int, bytes]) -> bytes | None:
    key = keyring.by_id(sealed[0])
    return None if key is None else key.cipher.decrypt(NONCE, sealed[1], None)


def states(keyring: Keyring) -> list[tuple[str, int, str]]:
    return [(key.namespace, key.id, key.state) for key in keyring.describe()]


def wrapped_keys(path: Path) -> dict[int, bytes]:
    """By id, the data keys in the file as its JSON shows them."""
    document = msgspec.json.decode(path.read_bytes())
    return {
        key["id"]: key["wrapped"].encode()
        for namespace in document["state"]["namespaces"].values()
        for key in namespace["data"]
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


# Opening


def test_what_was_sealed_opens_after_a_restart(path: Path) -> None:
    first = create(path)
    sealed = [seal(first, name) for name in NAMESPACES]
    second = reopen(path)
    assert [unseal(second, one) for one in sealed] == [b"value", b"value"]
    for name in NAMESPACES:
        assert second.index_key(name) == first.index_key(name)
        assert len(second.index_key(name)) == 32
    assert second.index_key("default") != second.index_key("sessions")
    assert states(second) == [("default", 1, "active"), ("sessions", 2, "active")]
    assert {key.created_ms for key in second.describe()} == {1000}
    assert second.master.id == MasterKey(KEY).id


def test_opening_changes_nothing_on_disk_unless_a_namespace_is_new(path: Path) -> None:
    create(path)
    before = path.read_bytes()
    reopen(path, *NAMESPACES)
    assert path.read_bytes() == before


def test_a_new_namespace_gets_keys_that_are_durable_when_it_is_open(path: Path) -> None:
    create(path)
    sealed = seal(reopen(path, "default", "new"), "new")
    assert unseal(reopen(path), sealed) == b"value"
    assert reopen(path).active("new").id == 3


def test_a_keyring_is_made_once(path: Path) -> None:
    create(path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="exists already"):
        create(path)
    assert path.read_bytes() == before


def test_a_missing_keyring_is_refused(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"keys\.json: The keyring is missing"):
        reopen(path)
    assert not path.exists()


def test_another_cluster_is_refused(path: Path) -> None:
    create(path)
    with pytest.raises(ConfigError, match=r"cluster 'c', .* cluster 'other'"):
        Keyring.open(path, "other", Given(KEY), (), 0)


def test_another_master_key_is_refused_and_both_are_named(path: Path) -> None:
    create(path)
    before = path.read_bytes()
    wanted, got = MasterKey(KEY).id, MasterKey(OTHER).id
    with pytest.raises(ConfigError, match=f"with master key {wanted}.* {got}"):
        reopen(path, "new", key=OTHER)
    assert path.read_bytes() == before


@pytest.mark.parametrize("spec", ["file:/no/such/file", "env:NO_SUCH_KEY", "command:/no/such"])
def test_a_missing_master_key_is_named(path: Path, spec: str) -> None:
    create(path)
    with pytest.raises(ConfigError, match=f"with master key {MasterKey(KEY).id}"):
        Keyring.open(path, "c", parse_source(spec), (), 0)


def test_only_a_first_start_makes_a_key_file(path: Path, tmp_path: Path) -> None:
    key_file = tmp_path / "master.key"
    Keyring.create(path, "c", FileSource(key_file), NAMESPACES, 0)
    Keyring.open(path, "c", FileSource(key_file), NAMESPACES, 0)
    key_file.unlink()
    with pytest.raises(ConfigError, match="Put the file back"):
        Keyring.open(path, "c", FileSource(key_file), NAMESPACES, 0)
    assert not key_file.exists()


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Make it a file of this user"):
        reopen(tmp_path)


# The file


def test_it_is_for_its_owner_alone_after_every_change(path: Path) -> None:
    def mode() -> int:
        return stat.S_IMODE(path.stat().st_mode)

    keyring = create(path)
    assert mode() == 0o600
    keyring.rotate("default", 0)
    assert mode() == 0o600


SMALL: list[bytes] = []


def small(tmp: Path) -> bytes:
    """The bytes of a keyring with one namespace, always the same."""
    if not SMALL:
        create(tmp, "default")
        SMALL.append(tmp.read_bytes())
    return SMALL[0]


def refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises(ConfigError):
        reopen(path, "default", "new")
    assert path.read_bytes() == data


def test_each_changed_byte_is_refused(path: Path) -> None:
    sound = small(path)
    for place in range(len(sound)):
        for flip in (0x01, 0x20, 0x80):
            changed = bytearray(sound)
            changed[place] ^= flip
            refused(path, bytes(changed))


def test_each_missing_byte_and_each_cut_is_refused(path: Path) -> None:
    sound = small(path)
    for place in range(len(sound)):
        refused(path, sound[:place])
        refused(path, sound[:place] + sound[place + 1 :])


@settings(max_examples=100)
@given(place=st.integers(0), extra=st.binary(min_size=1, max_size=4))
def test_more_bytes_are_refused(
    tmp_path_factory: pytest.TempPathFactory, place: int, extra: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "more.json"
    path.unlink(missing_ok=True)
    sound = small(path)
    place %= len(sound) + 1
    refused(path, sound[:place] + extra + sound[place:])


def change(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Edit the file's JSON as somebody without the master key could."""
    document = msgspec.json.decode(path.read_bytes())
    edit(document)
    path.write_bytes(msgspec.json.encode(document) + b"\n")


def test_a_renamed_namespace_is_refused(path: Path) -> None:
    create(path)

    def rename(document: dict[str, Any]) -> None:
        namespaces = document["state"]["namespaces"]
        namespaces["default"], namespaces["sessions"] = (
            namespaces["sessions"],
            namespaces["default"],
        )

    change(path, rename)
    with pytest.raises(ConfigError, match="damaged or changed"):
        reopen(path)


@pytest.mark.parametrize("swap", ["namespaces", "purposes", "ids"])
def test_a_swap_is_refused_even_under_a_sound_mac(path: Path, swap: str) -> None:
    """Each wrapped key is bound to its place, so a MAC made by a mistake opens nothing."""
    create(path).rotate("default", 0)
    document = msgspec.json.decode(path.read_bytes())
    default, sessions = document["state"]["namespaces"].values()
    if swap == "namespaces":
        default["index"], sessions["index"] = sessions["index"], default["index"]
    elif swap == "purposes":
        default["index"] = default["data"][0]["wrapped"]
    else:
        older, newer = default["data"]
        older["wrapped"], newer["wrapped"] = newer["wrapped"], older["wrapped"]
    state = msgspec.convert(document["state"], KeyringState)
    path.write_bytes(KeyringFile.sealed(state, MasterKey(KEY)).encoded())
    with pytest.raises(ConfigError, match="damaged, moved"):
        reopen(path)


def test_keys_of_another_cluster_do_not_pass_for_ours(path: Path) -> None:
    create(path)
    state = msgspec.convert(msgspec.json.decode(path.read_bytes())["state"], KeyringState)
    moved = msgspec.structs.replace(state, cluster="other")
    path.write_bytes(KeyringFile.sealed(moved, MasterKey(KEY)).encoded())
    with pytest.raises(ConfigError, match="damaged, moved"):
        Keyring.open(path, "other", Given(KEY), (), 0)


def test_a_later_format_is_refused_with_advice(path: Path) -> None:
    path.write_bytes(b'{"format":2,"anything":"else"}')
    with pytest.raises(ConfigError, match=r"format 2, .* up to 1\. Start the node with the later"):
        reopen(path)


def test_a_huge_file_is_not_read_whole(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ConfigError, match="more than"):
        reopen(path)


# Changes


def test_rotation_keeps_the_old_key_for_reading(path: Path) -> None:
    keyring = create(path)
    old = seal(keyring, "default")
    index = keyring.index_key("default")
    key = keyring.rotate("default", 2000)
    assert keyring.active("default") is key
    assert key.id == 3
    new = seal(keyring, "default")
    for ring in (keyring, reopen(path)):
        assert states(ring) == [
            ("default", 1, "retiring"),
            ("default", 3, "active"),
            ("sessions", 2, "active"),
        ]
        assert [unseal(ring, old), unseal(ring, new)] == [b"value", b"value"]
        assert ring.index_key("default") == index


def test_only_a_retiring_key_is_retired(path: Path) -> None:
    keyring = create(path)
    keyring.rotate("default", 0)
    for wrong in (2, 3, 4, 0):
        with pytest.raises(ValueError, match=f"key {wrong} is not retiring"):
            keyring.retire(wrong)
    keyring.retire(1)
    for ring in (keyring, reopen(path)):
        assert ring.by_id(1) is None
        assert not ring.is_shredded(1)
        assert states(ring) == [("default", 3, "active"), ("sessions", 2, "active")]
    assert reopen(path).rotate("default", 0).id == 4


def test_a_shredded_namespace_is_gone_and_comes_back_with_other_keys(path: Path) -> None:
    keyring = create(path)
    sealed = seal(keyring, "default")
    index = keyring.index_key("default")
    keyring.rotate("default", 0)
    keyring.shred("default")
    for ring in (keyring, reopen(path)):
        assert [ring.by_id(1), ring.by_id(3)] == [None, None]
        assert [ring.is_shredded(key_id) for key_id in (1, 2, 3)] == [True, False, True]
        for ask in (ring.active, ring.index_key, ring.shred):
            with pytest.raises(
                NamespaceNotFound, match="'default' has no keys on this node: it was shredded"
            ):
                ask("default")
        assert states(ring) == [("sessions", 2, "active")]
    again = reopen(path, *NAMESPACES)
    assert again.active("default").id == 4
    assert again.index_key("default") != index
    assert unseal(again, sealed) is None
    again.shred("default")
    assert [reopen(path).is_shredded(key_id) for key_id in (1, 2, 3, 4)] == [
        True, False, True, True
    ]  # fmt: skip


def test_a_new_master_key_wraps_the_same_keys(path: Path) -> None:
    keyring = create(path)
    sealed = seal(keyring, "default")
    index = keyring.index_key("default")
    before = wrapped_keys(path)
    keyring.rewrap(MasterKey(OTHER))
    after = wrapped_keys(path)
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())
    with pytest.raises(ConfigError, match=MasterKey(OTHER).id):
        reopen(path)
    for ring in (keyring, reopen(path, key=OTHER)):
        assert ring.master.id == MasterKey(OTHER).id
        assert unseal(ring, sealed) == b"value"
        assert ring.index_key("default") == index
    keyring.rotate("default", 0)
    assert reopen(path, key=OTHER).active("default").id == 3


def test_ids_run_out_with_a_message(path: Path) -> None:
    create(path)
    state = msgspec.convert(msgspec.json.decode(path.read_bytes())["state"], KeyringState)
    full = msgspec.structs.replace(state, last_id=KEY_ID_MAX - 1)
    path.write_bytes(KeyringFile.sealed(full, MasterKey(KEY)).encoded())
    keyring = reopen(path)
    assert keyring.rotate("default", 0).id == KEY_ID_MAX
    with pytest.raises(ConfigError, match="all 65535 ids"):
        keyring.rotate("default", 0)
    assert reopen(path).active("default").id == KEY_ID_MAX


def test_no_secret_is_shown(path: Path) -> None:
    keyring = create(path)
    secrets = [KEY, keyring.index_key("default")]
    parts = [keyring, keyring.active("default"), keyring.describe(), keyring.by_id(2)]
    with pytest.raises(ConfigError) as caught:
        reopen(path, key=OTHER)
    text = repr(parts) + str(keyring) + "".join(traceback.format_exception(caught.value))
    for secret in secrets:
        assert secret.hex() not in text
        assert repr(secret) not in text
        assert secret not in path.read_bytes()


# What leaves the file leaves the disk


@contextmanager
def held_open(path: Path) -> Iterator[Callable[[], bytes]]:
    """What the bytes that are now in `path` become, whatever names they keep."""
    with path.open("rb") as file:
        yield lambda: os.pread(file.fileno(), 1 << 20, 0)


def without_default(keyring: Keyring) -> None:
    keyring.shred("default")


def retired(keyring: Keyring) -> None:
    keyring.retire(1)


def under_another(keyring: Keyring) -> None:
    keyring.rewrap(MasterKey(OTHER))


@pytest.mark.parametrize("forget", [without_default, retired, under_another])
def test_the_old_file_is_overwritten(path: Path, forget: Callable[[Keyring], None]) -> None:
    keyring = create(path)
    keyring.rotate("default", 0)
    with held_open(path) as old:
        size = len(old())
        forget(keyring)
        assert old() == bytes(size)
    assert [file.name for file in path.parent.iterdir()] == ["keys.json"]


# Crashes


class Crash(BaseException):
    """The process ends here: nothing catches it, nothing cleans up after it."""


CALLS = ("open", "fsync", "replace", "link", "unlink")


@contextmanager
def crash_at(number: int, error: Callable[[], BaseException] = Crash) -> Iterator[list[str]]:
    """The file operation of this number, counted from 0, is never carried out, nor any after."""
    made: list[str] = []

    def counted(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*args: Any, **options: Any) -> Any:
            if len(made) >= number:
                raise error()
            made.append(name)
            return real(*args, **options)

        return call

    with pytest.MonkeyPatch.context() as patched:
        for name in CALLS:
            patched.setattr(os, name, counted(name))
        yield made


def rotated(keyring: Keyring) -> None:
    keyring.rotate("default", 0)


CHANGES = [rotated, retired, without_default, under_another]


def reopen_either(path: Path) -> Keyring:
    """Under whichever of the two master keys it is."""
    try:
        return reopen(path)
    except ConfigError:
        return reopen(path, key=OTHER)


@pytest.mark.parametrize("apply", CHANGES)
@pytest.mark.parametrize("error", [Crash, lambda: OSError(28, "No space left on device")])
def test_a_crash_at_any_operation_leaves_the_old_keys_or_the_new(
    tmp_path: Path, apply: Callable[[Keyring], None], error: Callable[[], BaseException]
) -> None:
    seen: list[bool] = []
    for number in range(100):
        path = tmp_path / str(number) / "keys.json"
        path.parent.mkdir()
        keyring = create(path)
        keyring.rotate("default", 0)
        sessions = seal(keyring, "sessions")
        before = (states(keyring), keyring.master.id)
        finished = False
        with crash_at(number, error):
            try:
                apply(keyring)
                finished = True
            except (Crash, StorageError):
                pass
        after = reopen_either(path)
        assert unseal(after, sessions) == b"value"
        seen.append((states(after), after.master.id) != before)
        assert [file.name for file in path.parent.iterdir()] == ["keys.json"]
        if finished:
            break
    assert seen[0] is False
    assert seen[-1] is True
    assert seen == sorted(seen), "once it is done it stays done"
    assert len(seen) >= 7


def test_a_shredding_that_a_crash_cut_short_is_ended_by_the_next_start(tmp_path: Path) -> None:
    for number in range(100):
        path = tmp_path / str(number) / "keys.json"
        path.parent.mkdir()
        keyring = create(path)
        with held_open(path) as old:
            finished = False
            with crash_at(number):
                try:
                    keyring.shred("default")
                    finished = True
                except Crash:
                    pass
            after = reopen(path)
            if after.by_id(1) is None:
                assert not old().strip(b"\0")
            else:
                assert old() == path.read_bytes()
        if finished:
            return
    pytest.fail("it never came to an end")


def test_a_crash_while_a_next_start_tidies_up_is_survived(tmp_path: Path) -> None:
    """Every pair of crashes: one while shredding, one while opening after it."""
    for first in range(12):
        for second in range(8):
            path = tmp_path / f"{first}-{second}" / "keys.json"
            path.parent.mkdir()
            keyring = create(path)
            sessions = seal(keyring, "sessions")
            with crash_at(first):
                crashes(partial(keyring.shred, "default"))
            with crash_at(second):
                crashes(partial(reopen, path))
            assert unseal(reopen(path), sessions) == b"value"
            assert [file.name for file in path.parent.iterdir()] == ["keys.json"]


def crashes(of: Callable[[], object]) -> bool:
    try:
        of()
    except Crash:
        return True
    return False


def test_a_first_start_that_was_cut_short_can_be_repeated(tmp_path: Path) -> None:
    for number in range(100):
        path = tmp_path / str(number) / "keys.json"
        path.parent.mkdir()
        with crash_at(number):
            crashed = crashes(partial(create, path))
        keyring = reopen(path) if path.exists() else create(path)
        assert states(keyring) == [("default", 1, "active"), ("sessions", 2, "active")]
        if not crashed:
            return
    pytest.fail("it never came to an end")


def test_the_old_file_is_overwritten_only_after_the_new_name_is_durable(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring = create(path)
    with crash_at(4) as made:  # link, open, fsync, replace
        assert crashes(partial(keyring.shred, "default"))
    assert made[-1] == "replace"
    synced: list[str] = []
    real = os.fsync

    def noted(descriptor: int) -> None:
        kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        synced.append(kind)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    reopen(path)
    assert synced == ["directory", "file"]


def test_a_change_that_cannot_be_written_is_not_seen(path: Path) -> None:
    keyring = create(path)
    before = states(keyring)
    with (
        crash_at(0, lambda: OSError(28, "No space left on device")),
        pytest.raises(StorageError, match=r"keys\.json cannot be written.*No space left"),
    ):
        keyring.rotate("default", 0)
    assert states(keyring) == states(reopen(path)) == before
    keyring.rotate("default", 0)
    assert reopen(path).active("default").id == 3


@pytest.mark.parametrize("apply", CHANGES)
def test_a_change_that_failed_at_any_operation_can_be_repeated(
    tmp_path: Path, apply: Callable[[Keyring], None]
) -> None:
    for number in range(100):
        path = tmp_path / str(number) / "keys.json"
        path.parent.mkdir()
        keyring = create(path)
        keyring.rotate("default", 0)
        with crash_at(number, lambda: OSError(28, "No space left on device")):
            try:
                apply(keyring)
            except StorageError:
                failed = True
            else:
                failed = False
        if not failed:
            return
        apply(keyring)
        after = reopen_either(path)
        assert (states(after), after.master.id) == (states(keyring), keyring.master.id)
        assert [file.name for file in path.parent.iterdir()] == ["keys.json"]
    pytest.fail("it never came to an end")


# Any order of changes, against a dumb model


class KeyringMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._directory = Path(tempfile.mkdtemp(prefix="keyring"))
        self.path = self._directory / "keys.json"
        self.keyring = create(self.path)
        self.master = KEY
        self.keys: dict[int, tuple[str, str]] = {
            1: ("default", "active"),
            2: ("sessions", "active"),
        }
        self.last_id = 2
        self.sealed = {key_id: self.seal(key_id) for key_id in self.keys}

    def seal(self, key_id: int) -> tuple[int, bytes]:
        key = self.keyring.by_id(key_id)
        assert key is not None
        return key_id, key.cipher.encrypt(NONCE, b"value", None)

    def living(self) -> list[str]:
        return sorted({namespace for namespace, state in self.keys.values()})

    @rule(choose=st.integers(0))
    @precondition(lambda self: self.keys)
    def rotate(self, choose: int) -> None:
        namespace = self.living()[choose % len(self.living())]
        key = self.keyring.rotate(namespace, 0)
        for key_id, (owner, _) in self.keys.items():
            if owner == namespace:
                self.keys[key_id] = (owner, "retiring")
        self.note(key.id, namespace)

    def note(self, key_id: int, namespace: str) -> None:
        assert key_id == self.last_id + 1
        self.last_id = key_id
        self.keys[key_id] = (namespace, "active")
        self.sealed[key_id] = self.seal(key_id)

    @rule()
    def retire(self) -> None:
        for key_id, (_, state) in list(self.keys.items()):
            if state == "retiring":
                self.keyring.retire(key_id)
                del self.keys[key_id]
                return

    @rule(choose=st.integers(0))
    @precondition(lambda self: self.keys)
    def shred(self, choose: int) -> None:
        namespace = self.living()[choose % len(self.living())]
        self.keyring.shred(namespace)
        self.keys = {i: key for i, key in self.keys.items() if key[0] != namespace}

    @rule(key=st.binary(min_size=32, max_size=32))
    def rewrap(self, key: bytes) -> None:
        self.keyring.rewrap(MasterKey(key))
        self.master = key

    @rule(namespace=st.sampled_from(["default", "sessions", "third"]))
    def restart(self, namespace: str) -> None:
        self.keyring = reopen(self.path, namespace, key=self.master)
        if namespace not in self.living():
            self.note(self.keyring.active(namespace).id, namespace)

    @invariant()
    def every_key_is_as_expected(self) -> None:
        found = {key.id: (key.namespace, key.state) for key in self.keyring.describe()}
        assert found == self.keys
        for key_id, sealed in self.sealed.items():
            assert unseal(self.keyring, sealed) == (b"value" if key_id in self.keys else None)
        for key_id, (namespace, state) in self.keys.items():
            if state == "active":
                assert self.keyring.active(namespace).id == key_id

    def teardown(self) -> None:
        self.path.unlink(missing_ok=True)
        self._directory.rmdir()


TestAnyOrderOfChanges = KeyringMachine.TestCase
TestAnyOrderOfChanges.settings = settings(max_examples=30, stateful_step_count=15, deadline=None)
