"""The bounds on the links of a node, all in one value."""

from __future__ import annotations

from dataclasses import dataclass, field

from kvorum.links.machine import LinkLimits
from kvorum.links.reconnect import DialLimits
from kvorum.links.waiting import WaitingLimits


@dataclass(frozen=True, slots=True)
class LinksLimits:
    """The bounds on all links of a node.

    `greeting_max`: connections that were accepted and have not completed their handshake.
    `waiting`: the messages for one node that has no link. `link`, `dial`: each link, and each
    attempt at one.
    """

    greeting_max: int = 64
    waiting: WaitingLimits = field(default_factory=WaitingLimits)
    link: LinkLimits = field(default_factory=LinkLimits)
    dial: DialLimits = field(default_factory=DialLimits)
