"""Documents with a MAC by the master key: their bytes on disk, and which ones are accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import pytest

from kvorum.model.errors import ConfigError
from kvorum.sealing.authenticated_document import AuthenticatedDocument, Kind
from kvorum.sealing.keyring_file import KeyringFile
from kvorum.sealing.keyring_state import KeyringState
from kvorum.sealing.master_key import MasterKey

MASTER: Final = MasterKey(bytes(range(32)))
BODY: Final = {"a": 1, "b": "ä"}

KEYRING: Final = (
    b'{"format":1,"master_key":"1ea887a70a6e0546",'
    b'"mac":"2795886d71f6b0923b4d460bfa897232cf8006faa4fb060e873603118f019ef1",'
    b'"state":{"cluster":"c","last_id":0,"namespaces":{},"shredded":{}}}\n'
)
"""As the first release of the format wrote it."""


def kind(context: bytes, number: int = 1) -> Kind:
    return Kind(number, context, "The note", "This drawer", "Use a later one.", "Throw it away.")


class Note(AuthenticatedDocument, frozen=True, forbid_unknown_fields=True):
    KIND = kind(b"note, format 1")
    body: msgspec.Raw = msgspec.field(name="text")


class SameShape(Note, frozen=True, forbid_unknown_fields=True):
    KIND = kind(b"letter, format 1")


class Later(Note, frozen=True, forbid_unknown_fields=True):
    KIND = kind(b"note, format 2", 2)


def test_a_keyring_is_the_bytes_that_it_always_was() -> None:
    assert KeyringFile.sealed(KeyringState.empty("c"), MASTER).encoded() == KEYRING
    assert KeyringFile.decode(KEYRING).verified(MASTER) == KeyringState.empty("c")


def test_what_was_sealed_is_proven() -> None:
    data = Note.sealed(BODY, MASTER).encoded()
    assert msgspec.json.decode(data)["text"] == BODY
    assert Note.decode(data).proven(MASTER) == msgspec.json.encode(BODY)


def test_one_kind_does_not_pass_for_another() -> None:
    data = Note.sealed(BODY, MASTER).encoded()
    with pytest.raises(ConfigError, match="does not match its MAC"):
        SameShape.decode(data).proven(MASTER)
    with pytest.raises(ConfigError, match="damaged or changed"):
        KeyringFile.decode(data)


def test_another_body_or_master_key_is_refused() -> None:
    note = Note.sealed(BODY, MASTER)
    changed = msgspec.structs.replace(note, body=msgspec.Raw(b'{"a":2}'))
    with pytest.raises(ConfigError, match="does not match its MAC"):
        Note.decode(changed.encoded()).proven(MASTER)
    with pytest.raises(ConfigError, match=f"This drawer was sealed with master key {MASTER.id}"):
        note.proven(MasterKey(bytes(32)))


@pytest.mark.parametrize("mac", ["", "no number", "AB" * 32, "ab" * 31, "ab" * 32 + "\n"])
def test_a_mac_that_is_none_is_damage(mac: str) -> None:
    note = msgspec.structs.replace(Note.sealed(BODY, MASTER), mac=mac)
    with pytest.raises(ConfigError, match=r"damaged or changed.*Throw it away"):
        Note.decode(note.encoded())


def test_only_the_bytes_that_would_be_written_are_read() -> None:
    data = Note.sealed(BODY, MASTER).encoded()
    for other in (data[:-1], data + b" ", b" " + data, data.replace(b',"mac"', b', "mac"')):
        with pytest.raises(ConfigError, match="damaged or changed"):
            Note.decode(other)


def test_formats_of_other_times() -> None:
    data = Note.sealed(BODY, MASTER).encoded()
    with pytest.raises(ConfigError, match="damaged or changed"):
        Later.decode(data)
    later = Later.sealed(BODY, MASTER).encoded()
    with pytest.raises(ConfigError, match=r"format 2, .* 1\. Use a later one\."):
        Note.decode(later)


def test_no_more_is_read_than_is_allowed(tmp_path: Path) -> None:
    data = Note.sealed(BODY, MASTER).encoded()
    file = tmp_path / "note"
    file.write_bytes(data)
    assert Note.read(file, len(data)).proven(MASTER) == msgspec.json.encode(BODY)
    with pytest.raises(ConfigError, match="more than"):
        Note.read(file, len(data) - 1)
