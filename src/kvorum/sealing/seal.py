"""The seal: the form of records on disk, compressed and then encrypted, under pseudonymous keys.

    plain key     b"d"                token (8)  namespace 0x00 name     a record
                  b"h" node 0x00 b"d" token (8)  namespace 0x00 name     a hint
    stored key    the part before the namespace as it is (the visible part), then
                  encrypted:    8-byte pseudonym of namespace and name (BLAKE2b keyed with the
                                namespace's index key)
                  unencrypted:  namespace 0x00 name

    stored value  0   1  0x20 | 1: encrypted | 2: compressed | 4: with a dictionary
                  1   2  id of the data key    (if encrypted)
                  ..  1  id of the dictionary  (if compressed with one)
                  ..  n  the text; if encrypted, its last 16 bytes are the tag

The plaintext is `length of name (2), name, body`, compressed as a whole, so that a name costs
little. The body of a record is the record without its checksum: sealing verifies the checksum,
from then on the cipher's tag protects the record, and opening computes the checksum anew. In an
unencrypted namespace the body is the whole record, and opening verifies its checksum.

The nonce is the last 12 bytes of the stored key (four of the token, eight of the pseudonym), so it
repeats when a key is written again, and takes no room. AES-GCM-SIV (RFC 8452) permits that: two
messages with one nonce only reveal whether they are equal. The header, the stored key and the
cluster's name are associated data. So a record that is moved to another key, namespace or cluster
does not open. The disk reveals how many records there are, their sizes, when they change, and
eight bytes of each token, enough to test a guess of a key if the token seed is known.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from cryptography.exceptions import InvalidTag

from kvorum.model.errors import CorruptRecord
from kvorum.model.keys import KEY_BYTES_MAX
from kvorum.model.record import RECORD_BYTES_MAX, body_of, checked, is_sound
from kvorum.sealing.compression import MIN_BYTES, Codec
from kvorum.sealing.keyring import DataKey, Keyring
from kvorum.sealing.training import Drift, Sampler

FORMAT: Final = 0x20
FORMAT_MASK: Final = 0xF8
ENCRYPTED: Final = 1
COMPRESSED: Final = 2
WITH_DICTIONARY: Final = 4

PSEUDONYM_BYTES: Final = 8
PLAIN_BYTES_MAX: Final = RECORD_BYTES_MAX + 2 + KEY_BYTES_MAX
"""The longest plaintext. Nothing longer is sealed, because it would not open again."""

RECORD: Final = ord("d")
NOTE: Final = ord("h")
_TOKEN_BYTES: Final = 8
_NONCE_BYTES: Final = 12
RECORD_VISIBLE_BYTES: Final = 1 + _TOKEN_BYTES
_SAMPLED: Final = 3
"""With a dictionary, so many records are skipped for each one that is sampled."""
_KEY_ID_END: Final = 3


def is_named(key: bytes) -> bool:
    """True for records and hints, whose keys contain a client's key. Others are not sealed."""
    return key[0] == RECORD or key[0] == NOTE


def is_record(key: bytes) -> bool:
    """True if `key`, plain or stored, is that of a record."""
    return key[0] == RECORD


def visible_bytes(key: bytes) -> int:
    """The length of the visible part of `key`, plain or stored, in bytes."""
    return RECORD_VISIBLE_BYTES if key[0] == RECORD else key.index(0) + 2 + _TOKEN_BYTES


def namespace_of(key: bytes) -> bytes:
    """The namespace in a plain key; b"" if it contains no client's key."""
    if key[0] != RECORD and key[0] != NOTE:
        return b""
    visible = visible_bytes(key)
    return key[visible : key.index(0, visible)]


def key_id_of(sealed: bytes) -> int:
    """The id of the data key in a stored value; 0 if it is unencrypted or malformed."""
    if len(sealed) < _KEY_ID_END or sealed[0] & (FORMAT_MASK | ENCRYPTED) != FORMAT | ENCRYPTED:
        return 0
    return int.from_bytes(sealed[1:_KEY_ID_END])


def dictionary_of(sealed: bytes) -> int:
    """The id of the dictionary in a stored value; 0 if it was compressed without one."""
    if not sealed[0] & WITH_DICTIONARY:
        return 0
    return sealed[_KEY_ID_END if sealed[0] & ENCRYPTED else 1]


class ShreddedRecord(CorruptRecord):
    """The record is unreadable on purpose: its data key was shredded, or its namespace dropped."""


class Manner:
    """How new records of a namespace are sealed: with which key, codec and headers.

    `key`: None to leave them unencrypted. `codec`: None to leave them uncompressed. `dictionary`:
    the id of the codec's dictionary; 0 for none.
    """

    __slots__ = ("codec", "compressible_bytes", "header", "key", "packed_header", "sampled")

    def __init__(self, key: DataKey | None, codec: Codec | None, dictionary: int = 0) -> None:
        self.key = key
        self.codec = codec
        self.sampled = _SAMPLED if dictionary else 0
        # With a dictionary, even the shortest records get smaller.
        self.compressible_bytes = 0 if dictionary else MIN_BYTES
        kind = FORMAT if key is None else FORMAT | ENCRYPTED
        key_id = b"" if key is None else key.id.to_bytes(2)
        packed = kind | COMPRESSED | (WITH_DICTIONARY if dictionary else 0)
        self.header = bytes([kind]) + key_id
        self.packed_header = bytes([packed]) + key_id + (bytes([dictionary]) if dictionary else b"")

    def has_sealed(self, sealed: bytes) -> bool:
        """True if the header of this stored value is one of this manner."""
        if self.codec is None:
            return sealed.startswith(self.header)
        return sealed.startswith((self.header, self.packed_header))


class NamespaceSeal:
    """Seals and opens the records and hints of one namespace."""

    __slots__ = (
        "_aad",
        "_codecs",
        "_keyed",
        "_prefix",
        "_to_sample",
        "drift",
        "logical_bytes",
        "manner",
        "sampler",
        "stored_bytes",
    )

    def __init__(self, cluster: str, namespace: str, index_key: bytes | None) -> None:
        """`index_key` is None for a namespace that was never encrypted."""
        self._aad = cluster.encode() + b"\0"
        self._prefix = namespace.encode() + b"\0"
        # Copying a keyed hash takes half the time of keying one.
        self._keyed = blake2b(self._prefix, key=index_key or b"", digest_size=PSEUDONYM_BYTES)
        self._codecs: dict[int, Codec] = {}
        self.manner = Manner(None, None)
        # For the training of dictionaries; no sampler where there are to be none.
        self.sampler: Sampler | None = None
        self.drift = Drift(has_dictionary=True)
        self._to_sample = 0
        self.logical_bytes = 0
        self.stored_bytes = 0
        """Bytes before and after sealing, since the start."""

    def use(self, manner: Manner) -> None:
        """Seal new records in this manner from now on."""
        self.manner = manner

    def know(self, dictionary: int, codec: Codec) -> None:
        """Decompress with `codec` what was compressed with this dictionary; 0 for none."""
        self._codecs[dictionary] = codec

    def forget(self, dictionary: int) -> None:
        """Forget the codec of a dictionary that no record uses."""
        self._codecs.pop(dictionary, None)

    def codec(self, dictionary: int) -> Codec:
        """The codec with this dictionary. Raises CorruptRecord if it is unknown."""
        codec = self._codecs.get(dictionary)
        if codec is None:
            raise _damaged(f"it was compressed with dictionary {dictionary}, which is missing")
        return codec

    def stored_key(self, visible: bytes, name: bytes) -> bytes:
        """The stored key of a name, behind the visible part."""
        if self.manner.key is None:
            return visible + self._prefix + name
        pseudonym = self._keyed.copy()
        pseudonym.update(name)
        return visible + pseudonym.digest()

    def seal(self, visible: bytes, name: bytes, body: bytes) -> tuple[bytes, bytes]:
        """(stored key, stored value) of a body. Raises CorruptRecord if it is too long to open."""
        manner = self.manner
        key, codec, header = manner.key, manner.codec, manner.header
        # `stored_key`, inlined: one call less for each record.
        if key is None:
            stored_key = visible + self._prefix + name
            plain = body
        else:
            pseudonym = self._keyed.copy()
            pseudonym.update(name)
            stored_key = visible + pseudonym.digest()
            plain = len(name).to_bytes(2) + name + body
        text = plain
        if len(plain) > PLAIN_BYTES_MAX:
            raise CorruptRecord(
                f"A record of {len(plain)} bytes is too long to be stored: at most "
                f"{PLAIN_BYTES_MAX} bytes are."
            )
        if codec is not None:
            if len(plain) >= manner.compressible_bytes:
                packed = codec.compress(plain)
                if len(packed) < len(plain):
                    header, text = manner.packed_header, packed
            self._to_sample -= 1
            if self._to_sample < 0:
                self._sample(plain, text)
        if key is not None:
            aad = self._aad + header + stored_key
            text = key.cipher.encrypt(stored_key[-_NONCE_BYTES:], text, aad)
        return stored_key, header + text

    def _sample(self, plain: bytes, text: bytes) -> None:
        """Offer a record for training: each one until there is a dictionary, a few afterwards."""
        self._to_sample = self.manner.sampled
        if self.sampler is not None:
            self.sampler.offer(plain)
            self.drift.note(len(plain), len(text))

    def open(self, stored_key: bytes, sealed: bytes, key: DataKey | None) -> tuple[bytes, bytes]:
        """(plain key, body); `key`: None if it is unencrypted. Raises CorruptRecord, and IndexError
        or ValueError if it is too short.
        """
        flags = sealed[0]
        at = 1 if key is None else 3
        dictionary = 0
        if flags & WITH_DICTIONARY:
            dictionary = sealed[at]
            at += 1
        text = sealed[at:]
        if key is not None:
            aad = b"%b%b%b" % (self._aad, sealed[:at], stored_key)
            try:
                text = key.cipher.decrypt(stored_key[-_NONCE_BYTES:], text, aad)
            except InvalidTag as error:
                raise _damaged("it does not open with the key it names") from error
        if flags & COMPRESSED:
            text = self.codec(dictionary).decompress(text, PLAIN_BYTES_MAX)
        if key is None:
            return stored_key, text
        end = 2 + int.from_bytes(text[:2])
        return stored_key[:-PSEUDONYM_BYTES] + self._prefix + text[2:end], text[end:]


class Seal:
    """Seals and opens the records and hints of all namespaces of a store."""

    __slots__ = ("_keyring", "namespaces", "removing")

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self.namespaces: dict[bytes, NamespaceSeal] = {}
        self.removing: dict[bytes, int] = {}
        """Dropped unencrypted namespaces that may have pairs left, with the times of their removals
        (ms since 1970).
        """

    def is_removed(self, stored_key: bytes, sealed: bytes) -> bool:
        """True if this stored pair is an unencrypted one of a dropped namespace."""
        if not self.removing or (sealed[:1] and sealed[0] & ENCRYPTED):
            return False
        visible = visible_bytes(stored_key)
        return stored_key[visible : stored_key.find(0, visible)] in self.removing

    def stored_key(self, key: bytes) -> bytes:
        """The stored key of a plain one. Raises KeyError if its namespace does not exist."""
        visible = visible_bytes(key)
        end = key.index(0, visible)
        return self.namespaces[key[visible:end]].stored_key(key[:visible], key[end + 1 :])

    def seal(self, key: bytes, data: bytes) -> tuple[bytes, bytes]:
        """(stored key, stored value) of a record or hint. Raises CorruptRecord if a record does not
        match its checksum or is too long, and KeyError if its namespace does not exist.
        """
        body = data
        if key[0] == RECORD:
            if not is_sound(key, data):
                raise CorruptRecord("A record that is to be stored does not match its checksum.")
            visible = RECORD_VISIBLE_BYTES
            end = key.index(0, visible)
            part = self.namespaces[key[visible:end]]
            if part.manner.key is not None:
                body = body_of(data)
        else:
            visible = visible_bytes(key)
            end = key.index(0, visible)
            part = self.namespaces[key[visible:end]]
        stored_key, sealed = part.seal(key[:visible], key[end + 1 :], body)
        part.logical_bytes += len(key) + len(data)
        part.stored_bytes += len(stored_key) + len(sealed)
        return stored_key, sealed

    def open(self, stored_key: bytes, sealed: bytes) -> tuple[bytes, bytes]:
        """(plain key, record or hint) of a stored pair. Raises CorruptRecord."""
        try:
            key, body = self._open(stored_key, sealed)
        except (IndexError, KeyError, ValueError) as error:
            raise _damaged("its header is malformed") from error
        if key[0] != RECORD:
            return key, body
        if sealed[0] & ENCRYPTED:
            return key, checked(key, body)
        if not is_sound(key, body):
            raise _damaged("it does not match its checksum")
        return key, body

    def key(self, key_id: int) -> DataKey:
        """The data key with this id. Raises ShreddedRecord, or CorruptRecord if it is unknown."""
        key = self._keyring.by_id(key_id)
        if key is None and self._keyring.is_shredded(key_id):
            raise ShreddedRecord(f"The record was shredded with its data key {key_id}.")
        if key is None:
            raise _damaged(f"it was sealed with data key {key_id}, which is not in the keyring")
        return key

    def _open(self, stored_key: bytes, sealed: bytes) -> tuple[bytes, bytes]:
        flags = sealed[0]
        if flags & FORMAT_MASK != FORMAT:
            raise _damaged(f"its format is {flags & FORMAT_MASK:#x} in the place of {FORMAT:#x}")
        if flags & ENCRYPTED:
            key = self.key(int.from_bytes(sealed[1:3]))
            return self.namespaces[key.namespace.encode()].open(stored_key, sealed, key)
        visible = visible_bytes(stored_key)
        namespace = stored_key[visible : stored_key.index(0, visible)]
        if namespace in self.removing:
            raise ShreddedRecord("The record is of a namespace that was dropped.")
        return self.namespaces[namespace].open(stored_key, sealed, None)


def _damaged(why: str) -> CorruptRecord:
    return CorruptRecord(f"A stored record is damaged: {why}.")
