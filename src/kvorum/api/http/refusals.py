"""What is refused before any handler sees it: a request that is not HTTP/1.1 as we serve it.

All have the outcome "none". Their codes are stable like those of `model.errors`; they are
kept here because only an HTTP server can mean them.
"""

from __future__ import annotations

from kvorum.model.errors import KvorumError, RequestError


class MalformedHttp(RequestError):
    code = "malformed_http"


class ForeignOrigin(RequestError):
    """A web page of another site asks for a change."""

    code = "foreign_origin"
    status = 403


class UnknownPath(RequestError):
    code = "unknown_path"
    status = 404


class MethodNotAllowed(RequestError):
    """`details` holds allow (list of methods)."""

    code = "method_not_allowed"
    status = 405


class RequestTooSlow(RequestError):
    code = "request_too_slow"
    status = 408


class ContentTooLarge(RequestError):
    code = "content_too_large"
    status = 413


class UrlTooLong(RequestError):
    code = "url_too_long"
    status = 414


class UnsupportedMediaType(RequestError):
    """A body that is not declared as JSON."""

    code = "unsupported_media_type"
    status = 415


class ExpectationFailed(RequestError):
    code = "expectation_failed"
    status = 417


class MisdirectedRequest(RequestError):
    """Host is a name that this server does not have."""

    code = "misdirected_request"
    status = 421


class HeadTooLarge(RequestError):
    code = "head_too_large"
    status = 431


class NotImplementedHere(RequestError):
    code = "not_implemented"
    status = 501


class UnsupportedHttpVersion(RequestError):
    code = "unsupported_http_version"
    status = 505


class InternalError(KvorumError):
    """A fault of this program; what it had done before is not known."""

    code = "internal_error"

    def __init__(self) -> None:
        super().__init__(
            "the server made an error of its own; its log says which", outcome="unknown"
        )
