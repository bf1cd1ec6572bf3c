"""A JSON document with a message authentication code (MAC) by the master key.

Anybody can read it, and nobody without the key can change it unseen:

    {"format": 1, "master_key": id, "mac": 64 hex digits, NAME: {...}}

and a line break. The kind of document sets NAME, the name of the body, and the MAC's context.
The MAC covers the body's bytes as they stand in the file. The other fields follow from what they
say, so a file is refused unless it is, byte by byte, what this module would write.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, NamedTuple, Self

import msgspec
from msgspec import Meta

from kvorum.model.errors import ConfigError
from kvorum.sealing.master_key import MasterKey


class Kind(NamedTuple):
    """A kind of authenticated document: its format, its MAC context, and words for error messages.

    `context` keeps a MAC from being valid for another kind or format. `title` names the document,
    `sealed` what the master key protects with it; `use_later` and `remedy` are advice.
    """

    format: int
    context: bytes
    title: str
    sealed: str
    use_later: str
    remedy: str


class _Format(msgspec.Struct):
    """The only field that every later format is sure to have."""

    format: int


class AuthenticatedDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document from a file, unproven until `proven`. A subclass sets KIND and the body's name."""

    KIND: ClassVar[Kind]

    format: int
    master_key: str
    mac: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    body: msgspec.Raw

    @classmethod
    def sealed(cls, body: object, master: MasterKey) -> Self:
        """A new document with this body, authenticated by `master`."""
        text = msgspec.json.encode(body)
        mac = master.mac(text, cls.KIND.context).hex()
        return cls(cls.KIND.format, master.id, mac, msgspec.Raw(text))

    @classmethod
    def read(cls, path: Path, bytes_max: int) -> Self:
        """Raises ConfigError if it is damaged, too large or of a later format, and OSError."""
        with path.open("rb") as stream:
            data = stream.read(bytes_max + 1)
        if len(data) > bytes_max:
            raise cls.damaged(f"it has more than {bytes_max} bytes")
        return cls.decode(data)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises ConfigError if `data` is damaged or of a later format."""
        kind = cls.KIND
        try:
            stored = msgspec.json.decode(data, type=_Format).format
            if stored > kind.format:
                raise ConfigError(
                    f"{kind.title} has format {stored}, and this version of kvorum reads formats "
                    f"up to {kind.format}. {kind.use_later}"
                )
            document = msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise cls.damaged(str(error)) from error
        if stored < kind.format or document.encoded() != data:
            raise cls.damaged("its format or shape is wrong")
        return document

    def encoded(self) -> bytes:
        """The bytes of the file."""
        return msgspec.json.encode(self) + b"\n"

    def proven(self, master: MasterKey) -> bytes:
        """The body. Raises ConfigError if its MAC is another master key's, or does not match."""
        if master.id != self.master_key:
            raise ConfigError(
                f"{self.KIND.sealed} was sealed with master key {self.master_key}, and the "
                f"configured one is {master.id}. Name the source of the former.",
                wanted=self.master_key,
                got=master.id,
            )
        body = bytes(self.body)
        if not master.verifies(bytes.fromhex(self.mac), body, self.KIND.context):
            raise self.damaged(f"it does not match its MAC by master key {master.id}")
        return body

    @classmethod
    def damaged(cls, why: str) -> ConfigError:
        """The error to raise if the document cannot be trusted; `why`: a clause."""
        return ConfigError(f"{cls.KIND.title} is damaged or changed: {why}. {cls.KIND.remedy}")
