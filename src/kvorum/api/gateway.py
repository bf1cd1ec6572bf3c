"""What all handlers of entries share: the service, and how records are shown."""

from __future__ import annotations

from kvorum.api.limits import ApiLimits
from kvorum.api.presentation import Presenter
from kvorum.service.service import Service


class Gateway:
    __slots__ = ("limits", "presenter", "service")

    def __init__(self, service: Service, limits: ApiLimits) -> None:
        self.service = service
        self.limits = limits
        self.presenter = Presenter(service.versions, service.actor_name)
