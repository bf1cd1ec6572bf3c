"""What only an HTTP server can refuse; most of it before any handler sees it.

Codes are stable like those of `model.errors`. `statuses.py` says with which status each is
answered.
"""

from __future__ import annotations

from kvorum.model.errors import KvorumError, RequestError


class MalformedHttp(RequestError):
    code = "malformed_http"


class ForeignOrigin(RequestError):
    """A web page of another site asks for a change."""

    code = "foreign_origin"


class UnknownPath(RequestError):
    code = "unknown_path"


class MethodNotAllowed(RequestError):
    """`details` holds allow (list of methods)."""

    code = "method_not_allowed"


class ContentTooLarge(RequestError):
    code = "content_too_large"


class UrlTooLong(RequestError):
    code = "url_too_long"


class UnsupportedMediaType(RequestError):
    """A body that is not declared as JSON."""

    code = "unsupported_media_type"


class ExpectationFailed(RequestError):
    code = "expectation_failed"


class MisdirectedRequest(RequestError):
    """Host is a name that this server does not have."""

    code = "misdirected_request"


class HeadTooLarge(RequestError):
    code = "head_too_large"


class NotImplementedHere(RequestError):
    code = "not_implemented"


class UnsupportedHttpVersion(RequestError):
    code = "unsupported_http_version"


class AnswerTooLong(RequestError):
    """The answer to a list has grown so long that this item is not served."""

    code = "answer_too_long"


class InternalError(KvorumError):
    """A fault of this program; what it had done before is not known."""

    code = "internal_error"

    def __init__(self) -> None:
        super().__init__(
            "The server made an error of its own; its log says which.", outcome="unknown"
        )
