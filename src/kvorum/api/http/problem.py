"""An error as an HTTP answer: application/problem+json (RFC 9457).

The type is always "about:blank" and the title the name of the status; what a program should
look at is `code`, which is stable, and `outcome`, which says whether anything was changed.
`detail` says what was wanted and what was got, `advice` what to do next. Whatever details
the error carries (needed, got, replicas, ...) come as members of their own.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from kvorum.api.http.response import REASONS
from kvorum.model.errors import KvorumError

DETAIL_CHARS_MAX: Final = 1000

_ADVICE: Final = {
    "invalid_key": "Use a key of 1 to 1024 bytes of UTF-8, percent-encoded where it is in a path.",
    "invalid_value": "Send a value within the limits the detail names.",
    "invalid_version": "Read the entry and send the valueVersion it shows, unchanged.",
    "namespace_not_found": "Check the name, or add the namespace to the cluster's settings.",
    "not_found": "Check key and namespace; create the entry with POST /entry.",
    "precondition_failed": "Read the entry again and decide anew with the ETag it shows.",
    "quorum_not_met": "Retry later, or with a smaller r or w if weaker guarantees will do.",
    "timeout": "If the outcome is unknown, read the entry before you repeat a write.",
    "overloaded": "Wait as long as Retry-After says, then repeat.",
    "disk_full": "Delete entries or make room on the node's disk, then repeat.",
    "storage_failed": "Look into the server's log; other nodes can go on serving.",
    "unknown_path": "Use one of the paths listed.",
    "method_not_allowed": "Use one of the methods listed.",
    "request_too_slow": "Send the whole request without a pause.",
    "content_too_large": "Send less at a time.",
    "unsupported_http_version": "Speak HTTP/1.1.",
    "internal_error": "Report it with the server's log; read before you repeat a write.",
}
_ADVICE_BELOW_500: Final = "Correct the request as the detail says."
_ADVICE_FROM_500: Final = "Retry later; look into the server's log if it goes on."

_encode: Final = msgspec.json.Encoder().encode


def problem(error: KvorumError) -> bytes:
    members = {
        "type": "about:blank",
        "title": REASONS[error.status],
        "status": error.status,
        "detail": _cut(error.message),
        "code": error.code,
        "outcome": error.outcome,
        "advice": _advice(error),
    }
    details = {name: value for name, value in error.details.items() if name not in members}
    return _encode(members | details)


def problem_fields(error: KvorumError) -> bytes:
    """The header fields that say what `error` says, for those who read only these."""
    fields = b""
    if "retry_after" in error.details:
        fields += b"\r\nRetry-After: %d" % math.ceil(error.details["retry_after"])
    if "allow" in error.details:
        fields += b"\r\nAllow: " + ", ".join(error.details["allow"]).encode("ascii")
    return fields


def _advice(error: KvorumError) -> str:
    default = _ADVICE_BELOW_500 if error.status < 500 else _ADVICE_FROM_500
    return _ADVICE.get(error.code, default)


def _cut(text: str) -> str:
    return text if len(text) <= DETAIL_CHARS_MAX else text[: DETAIL_CHARS_MAX - 1] + "…"
