"""What all handlers of entries share: the service, its bounds, and how records are shown."""

from __future__ import annotations

from kvorum.api.limits import ApiLimits
from kvorum.api.parameters import Options
from kvorum.api.presentation import Presenter
from kvorum.model.errors import RequestError
from kvorum.model.request import Listed, Selection
from kvorum.service.seal import Forged
from kvorum.service.service import Service


class Gateway:
    """The service as handlers of entries use it."""

    def __init__(self, service: Service, limits: ApiLimits) -> None:
        self.service = service
        self.limits = limits
        self.presenter = Presenter(service.versions, service.actor_name)

    def selection(self, options: Options, give: Listed = "entries") -> Selection:
        """What a query asks to be listed. Raises RequestError."""
        if options.cursor is not None and options.start_after:
            raise RequestError("Both cursor and start_after are given. Give one of them.")
        return Selection(
            options.namespace,
            options.prefix,
            give,
            options.limit or self.limits.page_entries,
            self.after(options),
            options.start_after,
        )

    def after(self, options: Options) -> bytes:
        """The cursor that a page goes on from; b"" is the beginning. Raises RequestError."""
        if options.cursor is None:
            return b""
        try:
            return self.service.cursors.open(options.namespace.encode(), options.cursor)
        except Forged as error:
            raise RequestError(
                "The cursor is none that an earlier page of this namespace gave. Leave it out to "
                "begin anew."
            ) from error
