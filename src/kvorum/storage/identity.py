"""Who a node is: the content of its `node.json`, and how identity passes from life to life.

An actor, the name under which a node's writes enter version vectors, is one incarnation of
the node (`model/record.py` says why). From the last life's state the next one follows:

    last stop      incarnation   counter
    clean          the same      goes on where it stood
    anything else  + 1           0

and the state that says "unclean" is durable before the new life's first write. So a node
that dies without a word has burned its incarnation, whatever its log had not yet synced.

The file:

    {"format": 4, "check": XXH3-64 of the digit 4 and the state's bytes in hex, "state": {...}}

The check is there because one wrong digit would let two lives share an actor.
"""

from __future__ import annotations

import re
import secrets
from typing import Annotated, Final

import msgspec
import xxhash
from msgspec import Meta

from kvorum.model.actor import INCARNATION_BITS, INCARNATION_MAX
from kvorum.model.errors import ConfigError

FORMAT: Final = 4
_NODE_ID_BITS: Final = 128
_ACTOR_ID_BITS: Final = 64 - INCARNATION_BITS

_NAMES: Final = ("cluster", "node")

_NODE_ID: Final = r"^[0-9a-f]{32}\Z"

NAMES_MAX: Final = 1024
NAME_LENGTH_MAX: Final = 255

NodeId = Annotated[str, Meta(pattern=_NODE_ID)]


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is fixed when a data directory is created, because its data depends on it."""

    cluster: str
    node: str
    partitions: int
    token_hash: str
    token_seed: int


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The state of one life.

        `names` is the address book: node id to name, oldest first. `founded`: the engine has made
    its files, so where they are missing they are lost. `journaled`: the same of the journal's
    log, which has had an entry. `newest`: the number of its newest entry when a life last ended
    well; 0 if none has. `forgot`: the store may lack writes that this node had
    acknowledged, and nothing in the store says so yet.
    """

    facts: Facts
    node_id: NodeId
    incarnation: Annotated[int, Meta(ge=1, le=INCARNATION_MAX)]
    counter: Annotated[int, Meta(ge=0)]
    clean: bool
    names: dict[NodeId, str]
    founded: bool = False
    journaled: bool = False
    newest: Annotated[int, Meta(ge=0)] = 0
    forgot: bool = False

    @property
    def actor(self) -> int:
        """The name under which this life writes: bits of the node id, and the incarnation."""
        prefix = int(self.node_id, 16) >> (_NODE_ID_BITS - _ACTOR_ID_BITS)
        return prefix << INCARNATION_BITS | self.incarnation

    @property
    def crashed(self) -> bool:
        """True if the life before this one did not end well.

        A clean end keeps the actor, so an actor that has used no counter is one that began after
        a crash, or never wrote: then nothing is lost by taking it for a crash.
        """
        return self.incarnation > 1 and self.counter == 0

    def next_life(self) -> Identity:
        """The state of the life after this one, unclean until it ends well."""
        if self.clean:
            return msgspec.structs.replace(self, clean=False)
        if self.incarnation == INCARNATION_MAX:
            raise ConfigError(
                f"Node {self.facts.node!r} has used up its {INCARNATION_MAX} incarnations. Start "
                "it on an empty data directory."
            )
        return msgspec.structs.replace(self, incarnation=self.incarnation + 1, counter=0)

    def without_memory(self) -> Identity:
        """The state of a life that begins anew, since its store was found to lack writes.

        It may lack those of this actor, whose next dots would cover them.
        """
        return msgspec.structs.replace(self, clean=False, newest=0, forgot=True).next_life()

    def stopped_at(self, counter: int, newest: int) -> Identity:
        """The state that a clean stop leaves: the last counter that this life used, and the number
        of the journal's newest entry.
        """
        if counter < self.counter:
            raise ValueError(
                f"The counter {counter} is before {self.counter}, where this life began."
            )
        return msgspec.structs.replace(self, counter=counter, newest=newest, clean=True)

    def knowing(self, node_id: str, name: str) -> Identity:
        """The state with another entry in its address book. A full book loses its oldest."""
        if re.search(_NODE_ID, node_id) is None or not 0 < len(name) <= NAME_LENGTH_MAX:
            raise ValueError(
                f"The node id {node_id[:64]!r} is not 32 hex digits, or the name {name[:64]!r} not "
                f"1 to {NAME_LENGTH_MAX} characters."
            )
        names = {**self.names, node_id: name}
        if len(names) > NAMES_MAX:
            del names[next(iter(names))]
        return msgspec.structs.replace(self, names=names)

    def check_facts(self, wanted: Facts) -> None:
        """Raises ConfigError if the cluster's settings are not those of the stored data."""
        for field in Facts.__struct_fields__:
            stored, asked = getattr(self.facts, field), getattr(wanted, field)
            if stored != asked:
                advice = f"Set {field} back, or start on an empty data directory."
                if field in _NAMES:
                    advice = (
                        "Start it as the member of a cluster that it is ('kvorum up', or 'kvorum "
                        "serve' with --cluster and --node), or choose another data directory."
                    )
                raise ConfigError(
                    f"This data was created with {field} {stored!r}, and is asked for with "
                    f"{asked!r}. {advice}",
                    field=field,
                    wanted=asked,
                    got=stored,
                )


def first_life(facts: Facts) -> Identity:
    """A new node: nobody has ever had its id."""
    return Identity(facts, secrets.token_hex(_NODE_ID_BITS // 8), 1, 0, False, {})


class _File(msgspec.Struct, frozen=True):
    format: int
    check: str
    state: msgspec.Raw


def encode(identity: Identity) -> bytes:
    """The file."""
    state = msgspec.json.encode(identity)
    return msgspec.json.encode(_File(FORMAT, _check(state), msgspec.Raw(state))) + b"\n"


def _check(state: bytes) -> str:
    return xxhash.xxh3_64_hexdigest(str(FORMAT).encode() + state)


def decode(data: bytes) -> Identity:
    """What the file says. Raises ConfigError if it is damaged or of another format."""
    try:
        file = msgspec.json.decode(data, type=_File)
        if file.format != FORMAT:
            raise ConfigError(
                f"The data directory has format {file.format}; this kvorum uses format {FORMAT} "
                "only. Start it with the kvorum that wrote it, or choose another data directory."
            )
        state = bytes(file.state)
        if _check(state) != file.check:
            raise _damaged("its check is wrong")
        return msgspec.json.decode(state, type=Identity)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(str(error)) from error


def _damaged(why: str) -> ConfigError:
    return ConfigError(
        f"The file of the node's identity is damaged ({why}). Restore it, or start on an empty "
        "data directory and let the node be repaired from the others."
    )
