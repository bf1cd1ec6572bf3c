"""Who owns a key, in order of preference, as a server tells it in GET /ring.

    key -> token -> partition -> owners

A server says which node it is, and of what its topology consists as far as placement goes.
The rest is worked out here, by the function that the nodes use (`model/placement.py`). A ring
that is out of date names owners of yesterday, who forward what is not theirs.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from kvorum.client.answers import Answer
from kvorum.client.requests import Subject
from kvorum.documents.ring import Ring as RingDocument
from kvorum.model.errors import ProtocolError
from kvorum.model.hash_tags import place_token
from kvorum.model.keys import TOKEN_HASHES, encode_key
from kvorum.model.placement import Placement
from kvorum.model.topology import DEFAULT_NAMESPACE, Topology


class Told(NamedTuple):
    """What one server tells: the node it is, and its topology as far as placement goes."""

    node: str
    topology: Topology


_document: Final = msgspec.json.Decoder(RingDocument)


def read(answer: Answer) -> Told:
    """Raises ProtocolError if it tells no ring, ConfigError if it tells an impossible one."""
    if not answer.ok:
        raise ProtocolError(f"The server does not tell its ring: it answered HTTP {answer.status}.")
    try:
        document = _document.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(
            f"The server's ring is not the document that this version of kvorum expects: {error}."
        ) from error
    return Told(document.node, document.topology)


class Ring:
    """Finds the owners of entries, by a topology."""

    __slots__ = ("_placement", "_token_hash", "topology")

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._placement = Placement(topology)
        self._token_hash = TOKEN_HASHES[topology.token_hash]

    def owners(self, about: Subject) -> list[str]:
        """The names of the nodes that own the entry; none if its namespace is not known."""
        topology, placement = self.topology, self._placement
        settings = topology.namespaces.get(about.namespace or DEFAULT_NAMESPACE)
        if settings is None:
            return []
        key, seed = encode_key(about.key), topology.token_seed
        tagged = settings.hash_tags and b"{" in key
        token = place_token(self._token_hash, seed, key) if tagged else self._token_hash(key, seed)
        owners = placement.owners(placement.partition(token), settings.rule)
        return [topology.node(node).name for node in owners]
