"""The bounds of the service: on values, and on how much is under way."""

from __future__ import annotations

from dataclasses import dataclass

from kvorum.model.errors import InvalidValue
from kvorum.model.record import JSON, TYPED
from kvorum.model.typed_value import body_bytes
from kvorum.service.nesting import is_deeper


class ValueTooLarge(InvalidValue):
    """`details` holds wanted (str) and got (int): bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLimits:
    """What holds for the requests of all faces; that of keys is in `model/keys.py`."""

    value_bytes: int = 1 << 20
    nesting: int = 128
    """Levels of arrays and objects in a value that is JSON."""
    in_flight: int = 4096
    """Operations that wait for the node, over all connections."""
    retry_after_s: int = 1

    def check_value(self, kind: int, value: bytes) -> None:
        """A face asks this of each value that it reads. Raises InvalidValue."""
        size = body_bytes(value) if kind == TYPED else len(value)
        if size > self.value_bytes:
            most = self.value_bytes
            raise ValueTooLarge(
                f"The value has {size} bytes; at most {most} are stored.",
                wanted=f"at most {most}",
                got=size,
            )
        if kind == JSON and is_deeper(value, self.nesting):
            raise InvalidValue(f"The value is nested deeper than {self.nesting} levels.")
