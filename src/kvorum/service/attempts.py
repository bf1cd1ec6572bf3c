"""Attempts: wrong passwords and tokens are counted, and those who go on guessing have to wait.

Failures are counted per source (an IPv4 address, or a network of 64 bits of IPv6, which is what one
customer is given) and per name of a user. After some that cost
nothing, each further one of either makes it wait twice as long as the one before:

    failures of a source or name    1 to 4    5    6    7    ...    14 and more
    seconds until the next attempt    0       1    2    4             512, at most 600

Failures are forgotten after 15 minutes without another one, those of a name also when its password
was right. At most 4,096 sources and as many names are remembered; the one that has been silent the
longest is forgotten for a new one.

Who waits is refused before anything is looked up, whether or not there is a user of that name. So
that nobody can lock out others, whoever has shown the right password before (`passwords.py`) is
let in without a look at this, and so is whoever shows a right token: nobody can guess 256 bits.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from kvorum.model.errors import TooManyAttempts

FREE: Final = 4
WAIT_S_MAX: Final = 600.0
FORGOTTEN_S: Final = 900.0
REMEMBERED_MAX: Final = 4096


class FailureCounts:
    """Failures by source, or by name."""

    def __init__(self, now: Callable[[], float], most: int = REMEMBERED_MAX) -> None:
        """`now`: monotonic seconds. `most`: how many are remembered."""
        self._now = now
        self._most = most
        self._of: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """How many failures, and when the last one was; the latest at the end."""

    def __len__(self) -> int:
        return len(self._of)

    def wait(self, whose: str) -> float:
        """For how many seconds `whose` has to wait; 0 if it need not."""
        count, at = self._of.get(whose, (0, 0.0))
        if count <= FREE:
            return 0.0
        pause = min(WAIT_S_MAX, 2.0 ** min(count - FREE - 1, 20))
        return max(0.0, at + pause - self._now())

    def add(self, whose: str) -> None:
        """Count a failure."""
        now = self._now()
        count, at = self._of.pop(whose, (0, 0.0))
        if now - at >= FORGOTTEN_S:
            count = 0
        self._of[whose] = count + 1, now
        if len(self._of) > self._most:
            self._of.popitem(last=False)

    def forget(self, whose: str) -> None:
        """Its failures count no more."""
        self._of.pop(whose, None)


class Attempts:
    """Failed attempts to be authenticated."""

    def __init__(self, now: Callable[[], float], most: int = REMEMBERED_MAX) -> None:
        """As for FailureCounts."""
        self._sources = FailureCounts(now, most)
        self._names = FailureCounts(now, most)
        self.failures = 0
        """How many there were."""

    @property
    def remembered(self) -> int:
        """How many sources and names."""
        return len(self._sources) + len(self._names)

    def check(self, source: str, name: str | None = None) -> None:
        """Raises TooManyAttempts if a source, or one who says to be `name`, has to wait."""
        by_source = self._sources.wait(_network(source))
        by_name = 0.0 if name is None else self._names.wait(name)
        if by_source or by_name:
            whose = f"from {source}" if by_source >= by_name else f"as {name!r}"
            wait = max(by_source, by_name)
            raise TooManyAttempts(
                f"There were too many failed attempts {whose}. Try again in {math.ceil(wait)} s.",
                retry_after=wait,
            )

    def failed(self, source: str, name: str | None = None) -> None:
        """Count a wrong token, or a wrong password of `name`."""
        self.failures += 1
        self._sources.add(_network(source))
        if name is not None:
            self._names.add(name)

    def succeeded(self, name: str) -> None:
        """The password of `name` was right. The failures of its source go on counting: whoever has
        a password must not get more guesses by it.
        """
        self._names.forget(name)


def _network(source: str) -> str:
    if ":" not in source:
        return source
    address, _, _ = source.partition("%")
    return str(ipaddress.IPv6Network((address, 64), strict=False))
