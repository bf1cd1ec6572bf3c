"""What only an HTTP server can refuse; most of it before any handler sees it.

Codes are stable like those of `model.errors`. `statuses.py` says with which status each is
answered.
"""

from __future__ import annotations

from kvorum.model.errors import KvorumError, RequestError


class MalformedHttp(RequestError):
    """What the client sent is no valid request of HTTP."""

    code = "malformed_http"


class ForeignOrigin(RequestError):
    """A web page of another site asks for a change."""

    code = "foreign_origin"


class UnknownPath(RequestError):
    """Nothing is served at the path. `details` holds paths (list of str)."""

    code = "unknown_path"


class MethodNotAllowed(RequestError):
    """`details` holds allow (list of methods)."""

    code = "method_not_allowed"


class ContentTooLarge(RequestError):
    """The body is larger than the call takes. `details` holds wanted (str)."""

    code = "content_too_large"


class UrlTooLong(RequestError):
    """The URL is too long. `details` holds wanted (str)."""

    code = "url_too_long"


class UnsupportedMediaType(RequestError):
    """A body that is not declared as JSON."""

    code = "unsupported_media_type"


class ExpectationFailed(RequestError):
    """The Expect field asks for what this server does not do."""

    code = "expectation_failed"


class MisdirectedRequest(RequestError):
    """Host is a name that this server does not have."""

    code = "misdirected_request"


class HeadTooLarge(RequestError):
    """The head is too large, or has too many fields. `details` holds wanted (str)."""

    code = "head_too_large"


class NotImplementedHere(RequestError):
    """A part of HTTP that this server does not serve."""

    code = "not_implemented"


class UnsupportedHttpVersion(RequestError):
    """Another version of HTTP than 1.0 and 1.1."""

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


def shown(value: bytes) -> str:
    """`value`, which a client sent, as messages quote it: its first 80 characters."""
    return repr(value[:80].decode("latin-1"))
