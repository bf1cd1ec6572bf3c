"""An error as an HTTP answer: application/problem+json (RFC 9457).

The type is always "about:blank" and the title the name of the status; what a program should
look at is `code`, which is stable, and `outcome`, which says whether anything was changed.
`detail` says what was wanted and what was got, `advice` what to do next: an error may bring its
own, else it is that of its code. Whatever other details the error carries (needed, got,
replicas, ...) come as members of their own.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from kvorum.api.http.response import REASONS
from kvorum.api.http.statuses import status_of
from kvorum.model.errors import KvorumError

DETAIL_CHARS_MAX: Final = 1000

_ADVICE: Final = {
    # The request
    "bad_request": "Correct the request as the detail says.",
    "invalid_key": "Use a key of 1 to 1024 bytes of UTF-8, percent-encoded where it is in a path.",
    "invalid_value": "Send a value as the detail wants it.",
    "invalid_version": "Read the entry and send the valueVersion it shows, unchanged.",
    "namespace_not_found": "Make it with 'kvorum namespace create', or declare it in the cluster "
    "file if the nodes run with one.",
    "not_found": "Check key and namespace; create the entry with POST /entry.",
    "too_many_siblings": "Read the entry, and write what resolves its siblings with the "
    "valueVersion that it shows.",
    "precondition_failed": "Read the entry again and decide anew with the ETag it shows.",
    "access_denied": "Ask whoever runs the node for the permission that the detail names.",
    "answer_too_long": "Ask for this item in another request, with fewer items.",
    # The cluster
    "unavailable": "Retry later; if the outcome is unknown, read before you repeat a write.",
    "quorum_not_met": "If the outcome is unknown, read the entry before you repeat a write. Else "
    "retry later, or with a smaller r or w if weaker guarantees will do.",
    "timeout": "If the outcome is unknown, read the entry before you repeat a write.",
    "clock_wrong": "Retry through another node; set the clock of the node that the detail names.",
    "overloaded": "Wait as long as Retry-After says, then repeat.",
    "connection_failed": "Read the entry before you repeat a write: it may have been carried out.",
    "protocol": "See that all nodes run the same version with the same cluster file; if the "
    "outcome is unknown, read before you repeat a write.",
    # The node
    "disk_full": "Delete entries or make room on the node's disk, then repeat.",
    "storage_failed": "Look into the server's log; other nodes can go on serving.",
    "corrupt_record": "Ask another node; this one compares with the others and repairs itself.",
    "unknown_write": "Restart the node that the detail names: it goes on under a new identity.",
    "config": "RepairPartition what the detail names in the settings or files of the node.",
    "error": "Look into the server's log; if the outcome is unknown, read before you repeat.",
    "internal_error": "Report it with the server's log; read before you repeat a write.",
    # HTTP
    "malformed_http": "Send a request of HTTP/1.1 (RFC 9112), on a new connection.",
    "foreign_origin": "Send it from a program instead of a web page.",
    "unknown_path": "Use one of the paths listed.",
    "method_not_allowed": "Use one of the methods listed.",
    "request_too_slow": "Send the whole request without a pause.",
    "content_too_large": "Send less at a time.",
    "url_too_long": "Use a shorter URL; parameters that take none need not be there.",
    "unsupported_media_type": "Declare the body with Content-Type: application/json.",
    "misdirected_request": "Use the server's IP address, localhost or a name it was started with.",
    "head_too_large": "Send fewer and shorter header fields; this server needs Host alone.",
    "expectation_failed": "Leave Expect out, or send Expect: 100-continue.",
    "not_implemented": "Leave out what the detail names; nothing here needs it.",
    "unsupported_http_version": "Speak HTTP/1.1.",
}
_ADVICE_BELOW_500: Final = "Correct the request; the detail says how."
_ADVICE_FROM_500: Final = "Retry later; look into the server's log if it goes on."
"""For the codes of later versions, which another node may use."""

_encode: Final = msgspec.json.Encoder().encode


def problem(error: KvorumError) -> bytes:
    status = status_of(error)
    members = {
        "type": "about:blank",
        "title": REASONS[status],
        "status": status,
        "detail": _cut(error.message),
        "code": error.code,
        "outcome": error.outcome,
        "advice": _advice(error, status),
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


def _advice(error: KvorumError, status: int) -> str:
    """That of its code, unless the handler knew better."""
    default = _ADVICE_BELOW_500 if status < 500 else _ADVICE_FROM_500
    known = _ADVICE.get(error.code, default)
    return str(error.details.get("advice", known))


def _cut(text: str) -> str:
    return text if len(text) <= DETAIL_CHARS_MAX else text[: DETAIL_CHARS_MAX - 1] + "…"
