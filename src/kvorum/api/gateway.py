"""What all handlers share: the way to the node, what is let in, and how records are shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kvorum.api.admission import Admission
from kvorum.api.limits import ApiLimits
from kvorum.api.ports import Coordinator
from kvorum.api.presentation import Presenter
from kvorum.api.seal import Seal
from kvorum.api.version_string import VersionStrings

_CURSOR: Final = 2
"""The purpose of sealed cursors; 1 is valueVersion's."""


class Gateway:
    __slots__ = ("admission", "coordinator", "cursors", "limits", "presenter", "versions")

    def __init__(
        self,
        coordinator: Coordinator,
        secret: bytes,
        actor_name: Callable[[int], str],
        limits: ApiLimits,
    ) -> None:
        self.coordinator = coordinator
        self.limits = limits
        self.admission = Admission(limits.in_flight, limits.retry_after_s)
        self.versions = VersionStrings(secret)
        self.cursors = Seal(secret, _CURSOR)
        self.presenter = Presenter(self.versions, actor_name)
