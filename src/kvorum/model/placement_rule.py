"""A placement rule: how many copies of a record there are, and where.

Namespaces that follow the same rule have the same owners for the same partition. So the rule, not
the namespace, is what two nodes compare records under: its id names a forest of Merkle trees, and
travels in messages.

    3        three copies, spread over hosts, racks and data centers as the labels allow
"""

from __future__ import annotations

from typing import Self

import msgspec


class PlacementRule(msgspec.Struct, frozen=True, order=True):
    """How copies are placed. `copies`: how many nodes store each record."""

    copies: int

    @property
    def id(self) -> str:
        """The name of the rule: equal for equal rules, and for no others."""
        return str(self.copies)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The rule with the id `text`; None if this version knows none."""
        if not text.isascii() or not text.isdigit() or text[0] == "0" or len(text) > 4:
            return None
        return cls(int(text))
