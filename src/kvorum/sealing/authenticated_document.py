"""A JSON document that a master key vouches for: readable by anybody, changed by nobody unseen.

    {"format": 1, "master_key": id, "mac": 64 hex digits, NAME: {...}}

and a line break. NAME, the name of the body, and the context are those of its kind. The MAC is
the master key's, in that context, over the body's bytes as they stand there. The rest is fixed
by what it says, so a file that is not, byte by byte, what would be written is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, NamedTuple, Self

import msgspec
from msgspec import Meta

from kvorum.model.errors import ConfigError
from kvorum.sealing.master_key import MasterKey


class Kind(NamedTuple):
    """What sets the documents of one purpose apart from all others, and how people are told.

    `context`: no MAC is good for another purpose or format. `sealed`: what is lost with the key.
    """

    format: int
    context: bytes
    wanted: str
    sealed: str
    use_later: str
    remedy: str


class _Format(msgspec.Struct):
    """All that any later format is sure to have."""

    format: int


class AuthenticatedDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As read: nothing in it may be believed before `proven`. A subclass names its body."""

    KIND: ClassVar[Kind]

    format: int
    master_key: str
    mac: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    body: msgspec.Raw

    @classmethod
    def sealed(cls, body: object, master: MasterKey) -> Self:
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
                    f"wanted {kind.wanted} in a format of at most {kind.format}, got {stored}; "
                    f"{kind.use_later}"
                )
            document = msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise cls.damaged(str(error)) from error
        if stored < kind.format or document.encoded() != data:
            raise cls.damaged("its format or shape is wrong")
        return document

    def encoded(self) -> bytes:
        return msgspec.json.encode(self) + b"\n"

    def proven(self, master: MasterKey) -> bytes:
        """The body. Raises ConfigError if another master key sealed it, or it was changed."""
        if master.id != self.master_key:
            raise ConfigError(
                f"wanted master key {self.master_key}, which sealed {self.KIND.sealed}, got "
                f"{master.id}; name the source that gives the former",
                wanted=self.master_key,
                got=master.id,
            )
        body = bytes(self.body)
        if not master.verifies(bytes.fromhex(self.mac), body, self.KIND.context):
            raise self.damaged(f"it is not what master key {master.id} sealed")
        return body

    @classmethod
    def damaged(cls, why: str) -> ConfigError:
        return ConfigError(
            f"wanted {cls.KIND.wanted}, got a file that was damaged or changed ({why}); "
            f"{cls.KIND.remedy}"
        )
