"""Dictionaries from life to life: numbered, sealed, whole or not there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.errors import StorageError
from kvorum.sealing.dictionary import (
    DICTIONARY_BYTES_MAX,
    ID_MAX,
    Dictionaries,
    Dictionary,
    Sealing,
)


def seal(data: bytes, context: bytes) -> bytes:
    """Stands in for encryption: hides the data, and opens for its own context only."""
    return len(context).to_bytes(2, "big") + context + bytes(byte ^ 0xA5 for byte in data)


def open_sealed(sealed: bytes, context: bytes) -> bytes:
    head = len(context).to_bytes(2, "big") + context
    if not sealed.startswith(head):
        raise StorageError("It is sealed for another context.")
    return bytes(byte ^ 0xA5 for byte in sealed[len(head) :])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dictionaries"


def opened(path: Path) -> Dictionaries:
    return Dictionaries(path, seal, open_sealed)


def test_a_new_directory_has_none_and_is_for_its_owner_alone(path: Path) -> None:
    dictionaries = opened(path)
    assert dictionaries.current("shop") is None
    assert dictionaries.ids("shop") == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_the_newest_is_current_and_older_ones_stay(path: Path) -> None:
    dictionaries = opened(path)
    assert dictionaries.add("shop", b"one") == Dictionary(1, b"one")
    assert dictionaries.add("shop", b"two") == Dictionary(2, b"two")
    assert dictionaries.add("shop-2", b"other") == Dictionary(1, b"other")
    for known in (dictionaries, opened(path)):
        assert known.current("shop") == Dictionary(2, b"two")
        assert known.get("shop", 1) == Dictionary(1, b"one")
        assert known.ids("shop") == [1, 2]
        assert known.current("shop-2") == Dictionary(1, b"other")
        assert known.current("shop-") is None


def test_files_are_sealed_and_for_their_owner_alone(path: Path) -> None:
    opened(path).add("shop", b"secret sessions")
    (file,) = path.iterdir()
    assert file.name == "shop-1.dict"
    assert b"secret" not in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_missing_one_is_named(path: Path) -> None:
    dictionaries = opened(path)
    with pytest.raises(StorageError, match="dictionary 7 of namespace 'shop' is missing"):
        dictionaries.get("shop", 7)
    dictionaries.add("shop", b"one")
    (path / "shop-1.dict").unlink()
    with pytest.raises(StorageError, match="dictionary 1 of namespace 'shop' is missing"):
        opened(path).get("shop", 1)
    late = opened(path)
    late.add("shop", b"one")
    unread = opened(path)
    (path / "shop-1.dict").unlink()
    with pytest.raises(StorageError, match="dictionary 1 of namespace 'shop' is missing"):
        unread.current("shop")


@given(data=st.data())
def test_a_changed_or_cut_file_is_refused(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("node") / "dictionaries"
    opened(path).add("shop", b"one of many")
    file = path / "shop-1.dict"
    whole = bytearray(file.read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        del whole[at:]
    else:
        whole[at] ^= data.draw(st.integers(1, 255))
    file.write_bytes(whole)
    with pytest.raises(StorageError, match="dictionary 1 of namespace 'shop'"):
        opened(path).get("shop", 1)


def test_a_file_that_is_too_large_is_not_read(path: Path) -> None:
    opened(path)
    with (path / "shop-1.dict").open("wb") as file:
        file.truncate(1 << 40)  # of holes
    with pytest.raises(StorageError, match=r"dictionary 1 .* is damaged: .* more than"):
        opened(path).get("shop", 1)


def test_a_file_of_a_later_format_is_refused_as_such(path: Path) -> None:
    opened(path).add("shop", b"one")
    file = path / "shop-1.dict"
    file.write_bytes(b"\x02" + file.read_bytes()[1:])
    with pytest.raises(StorageError, match=r"has format 2, .* reads format 1\. Start"):
        opened(path).get("shop", 1)


@pytest.mark.parametrize("name", ["cart-1.dict", "shop-2.dict", "shop-256.dict"])
def test_a_file_under_another_name_does_not_open(path: Path, name: str) -> None:
    opened(path).add("shop", b"one")
    (path / "shop-1.dict").rename(path / name)
    namespace, _, serial = name.removesuffix(".dict").rpartition("-")
    number = (int(serial) - 1) % ID_MAX + 1
    with pytest.raises(StorageError, match=f"{number} of namespace '{namespace}' cannot be decr"):
        opened(path).get(namespace, number)


def test_two_files_for_one_id_are_refused(path: Path) -> None:
    opened(path).add("shop", b"one")
    (path / "shop-256.dict").write_bytes((path / "shop-1.dict").read_bytes())
    with pytest.raises(StorageError, match=r"dictionary 1 of namespace 'shop' has two files"):
        opened(path)


def test_other_files_are_left_alone(path: Path) -> None:
    opened(path)
    (path / "README").write_text("notes")
    assert opened(path).ids("README") == []
    assert (path / "README").read_text() == "notes"


@pytest.mark.parametrize("size", [0, DICTIONARY_BYTES_MAX + 1])
def test_sizes_are_bounded(path: Path, size: int) -> None:
    with pytest.raises(ValueError, match=f"has 1 to .* bytes, and this one {size}"):
        opened(path).add("shop", bytes(size))
    assert list(path.iterdir()) == []


def test_the_largest_dictionary_comes_back(path: Path) -> None:
    opened(path).add("n" * 64, bytes(DICTIONARY_BYTES_MAX))
    assert opened(path).get("n" * 64, 1).data == bytes(DICTIONARY_BYTES_MAX)


@pytest.mark.parametrize("namespace", ["", "../up", "a/b", "n" * 65])
def test_only_names_of_namespaces_become_files(path: Path, namespace: str) -> None:
    with pytest.raises(ValueError, match="No namespace can be called"):
        opened(path).add(namespace, b"one")


def test_removed_ones_are_gone(path: Path) -> None:
    dictionaries = opened(path)
    dictionaries.add("shop", b"one")
    dictionaries.add("shop", b"two")
    dictionaries.remove("shop", 1)
    for known in (dictionaries, opened(path)):
        assert known.ids("shop") == [2]
        with pytest.raises(StorageError, match="missing"):
            known.get("shop", 1)
        with pytest.raises(StorageError, match="missing"):
            known.remove("shop", 1)
    assert [file.name for file in path.iterdir()] == ["shop-2.dict"]


@given(steps=st.lists(st.sampled_from(["add", "remove oldest", "restart"]), max_size=20))
def test_an_id_in_use_is_never_given_out_again(
    steps: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Began just below the end of the ids, so that they wrap."""
    path = tmp_path_factory.mktemp("node") / "dictionaries"
    opened(path)
    first = ID_MAX - 3
    context = b"dictionary\0shop\0" + first.to_bytes(8, "big")
    model: dict[int, bytes] = {first: b"first"}
    donor = tmp_path_factory.mktemp("donor") / "dictionaries"
    write_with_serial(donor, path, first, context)
    dictionaries = opened(path)
    for number, step in enumerate(steps):
        if step == "add":
            made = dictionaries.add("shop", b"%d" % number)
            assert 1 <= made.id <= ID_MAX
            assert made.id not in model
            model[made.id] = made.data
        elif step == "remove oldest" and len(model) > 1:
            oldest = next(iter(model))
            dictionaries.remove("shop", oldest)
            del model[oldest]
        elif step == "restart":
            dictionaries = opened(path)
        assert dictionaries.ids("shop") == list(model)
        current = dictionaries.current("shop")
        assert current == Dictionary(*list(model.items())[-1])


def write_with_serial(donor: Path, path: Path, serial: int, context: bytes) -> None:
    """A file of that serial, as a life that made so many would have left it."""
    Dictionaries(donor, lambda data, _: seal(data, context), open_sealed).add("shop", b"first")
    path.joinpath(f"shop-{serial}.dict").write_bytes((donor / "shop-1.dict").read_bytes())


def test_ids_end_while_all_are_used(path: Path) -> None:
    dictionaries = opened(path)
    for number in range(ID_MAX):
        dictionaries.add("shop", b"%d" % number)
    with pytest.raises(StorageError, match="255 compression dictionaries"):
        dictionaries.add("shop", b"one more")
    dictionaries.remove("shop", 77)
    assert dictionaries.add("shop", b"one more").id == 77
    assert opened(path).current("shop") == Dictionary(77, b"one more")


def test_sealing_again_uses_the_key_of_today(path: Path) -> None:
    key = [b"old"]

    def seal_today(data: bytes, context: bytes) -> bytes:
        return seal(data, key[0] + context)

    def open_today(sealed: bytes, context: bytes) -> bytes:
        return open_sealed(sealed, key[0] + context)

    dictionaries = Dictionaries(path, seal_today, open_today)
    dictionaries.add("shop", b"one")
    dictionaries.add("shop", b"two")
    dictionaries = Dictionaries(path, seal_today, open_sealed_by_any(b"old", b"new"))
    key[0] = b"new"
    dictionaries.reseal("shop")
    again = Dictionaries(path, seal_today, open_today)
    assert [again.get("shop", id_).data for id_ in again.ids("shop")] == [b"one", b"two"]


def open_sealed_by_any(*keys: bytes) -> Sealing:
    def opens(sealed: bytes, context: bytes) -> bytes:
        for key in keys:
            if sealed[2:].startswith(key):
                return open_sealed(sealed, key + context)
        raise AssertionError("no such key")

    return opens


class Crash(BaseException):
    """The process ends here."""


OPERATIONS = [(os, "open"), (os, "fsync"), (Path, "replace"), (Path, "unlink")]


def crash_at(patched: pytest.MonkeyPatch, countdown: int) -> list[str]:
    """Let the process end before the file operation of that number, from 0. Lists those before."""
    done: list[str] = []
    for owner, name in OPERATIONS:
        real = getattr(owner, name)

        def step(*args: object, _real: object = real, _name: str = name, **named: object) -> object:
            if len(done) == countdown:
                raise Crash
            done.append(_name)
            assert callable(_real)
            return _real(*args, **named)

        patched.setattr(owner, name, step)
    return done


def test_a_crash_at_any_file_operation_of_an_add_leaves_all_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for countdown in range(100):
        path = tmp_path / str(countdown)
        dictionaries = opened(path)
        dictionaries.add("shop", b"one")
        finished = True
        with monkeypatch.context() as patched:
            done = crash_at(patched, countdown)
            try:
                dictionaries.add("shop", b"two")
            except Crash:
                finished = False
        after = opened(path)
        assert after.get("shop", 1) == Dictionary(1, b"one")
        assert after.current("shop") in (Dictionary(1, b"one"), Dictionary(2, b"two"))
        assert not list(path.glob("*.new"))
        if finished:
            assert after.current("shop") == Dictionary(2, b"two")
            assert done == ["open", "fsync", "replace", "open", "fsync"]
            return
        before = after.ids("shop")
        assert after.add("shop", b"three").id not in before
    pytest.fail("an add never came to its end")


def test_a_crash_at_any_file_operation_of_a_removal_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for countdown in range(100):
        path = tmp_path / str(countdown)
        dictionaries = opened(path)
        dictionaries.add("shop", b"one")
        dictionaries.add("shop", b"two")
        with monkeypatch.context() as patched:
            done = crash_at(patched, countdown)
            try:
                dictionaries.remove("shop", 1)
            except Crash:
                assert opened(path).current("shop") == Dictionary(2, b"two")
            else:
                assert opened(path).ids("shop") == [2]
                assert done[:3] == ["unlink", "open", "fsync"]
                return
    pytest.fail("a removal never came to its end")


@pytest.mark.parametrize(("owner", "call"), OPERATIONS[:3])
def test_a_failing_disk_is_reported_and_the_old_one_stays_current(
    path: Path, owner: object, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    dictionaries = opened(path)
    dictionaries.add("shop", b"one")
    with monkeypatch.context() as patched:
        patched.setattr(owner, call, fail)
        with pytest.raises(StorageError, match=r" 2 of .*'shop' cannot be written: .*No space"):
            dictionaries.add("shop", b"two")
    assert dictionaries.current("shop") == Dictionary(1, b"one")
    assert dictionaries.add("shop", b"three") == Dictionary(2, b"three")
    assert opened(path).current("shop") == Dictionary(2, b"three")


def test_a_directory_that_cannot_be_read_says_so(path: Path) -> None:
    path.write_text("a file")
    with pytest.raises(StorageError, match="The compression dictionaries in"):
        opened(path)
