"""What a listener refuses, whatever the protocol."""

from __future__ import annotations

from kvorum.model.errors import RequestError


class RequestTooSlow(RequestError):
    """A request has begun and does not end."""

    code = "request_too_slow"
