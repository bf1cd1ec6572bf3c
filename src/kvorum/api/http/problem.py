"""An error as an HTTP answer: application/problem+json (RFC 9457).

The type is always "about:blank" and the title the name of the status; what a program should
look at is `code`, which is stable, and `outcome`, which says whether anything was changed.
`detail` says what is wrong, `advice` what to do next: an error may bring its own, else it is that
of its code. Whatever other details the error carries (needed, got, replicas, ...) come as members
of their own.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from kvorum.api.http.response import REASONS
from kvorum.api.http.statuses import status_of
from kvorum.documents.problem import Problem
from kvorum.model.errors import KvorumError, Unauthenticated

DETAIL_CHARS_MAX: Final = 1000

_ADVICE: Final = {
    # The request
    "bad_request": "Correct the request and send it again.",
    "invalid_key": "Use a key of 1 to 1024 bytes of UTF-8, percent-encoded where it is in a path.",
    "invalid_value": "Correct the value and send it again.",
    "invalid_version": "Read the entry and send its valueVersion unchanged.",
    "namespace_not_found": "Create it with PUT /namespaces/{name} at every node, or with 'kvorum "
    "namespace create'. If a cluster file lists the namespaces, add it there.",
    "not_found": "Check the key and the namespace, or create the entry with PUT /entry/{key}.",
    "open_cluster": "Do without, or make the cluster a secure one.",
    "too_many_siblings": "Read the entry, merge its siblings, and write the result with the "
    "valueVersion that you read.",
    "precondition_failed": "Read the entry again and repeat the write with its new ETag.",
    "unauthenticated": "Send a token as 'Authorization: Bearer TOKEN', or a user's name and "
    "password as Basic authentication. 'kvorum token create' makes tokens.",
    "too_many_attempts": "Retry after the seconds in Retry-After, with the right name and password "
    "or token.",
    "access_denied": "Ask an administrator for a role with the permission that the detail names.",
    "answer_too_long": "Ask for this item in another request, of fewer items.",
    # The cluster
    "unavailable": "Retry later. If the outcome is unknown, read before you repeat a write.",
    "node_stopping": "Send the request to another node, on a new connection.",
    "quorum_not_met": "If the outcome is unknown, read the entry before you repeat a write. "
    "Otherwise retry later, or with a smaller r or w if a weaker guarantee is enough.",
    "timeout": "If the outcome is unknown, read the entry before you repeat a write.",
    "clock_wrong": "Send the request to another node, and set the clock of the node that the "
    "detail names.",
    "too_many_requests": "Retry after the seconds in Retry-After, or ask an administrator for "
    "higher limits.",
    "overloaded": "Retry after the seconds in Retry-After.",
    "connection_failed": "Read the entry before you repeat a write: it may have been carried out.",
    "protocol": "Run the same version of kvorum with the same cluster file on all nodes. If the "
    "outcome is unknown, read before you repeat a write.",
    # The node
    "disk_full": "Delete entries or free space on the node's disk, then retry.",
    "storage_failed": "See the node's log. Other nodes can still serve the request.",
    "corrupt_record": "Send the request to another node. This one repairs the record from others.",
    "unknown_write": "Restart the node that the detail names. It goes on under a new identity.",
    "config": "Correct the node's settings or files that the detail names.",
    "error": "See the node's log. If the outcome is unknown, read before you repeat a write.",
    "internal_error": "Report it with the node's log. Read before you repeat a write.",
    # HTTP
    "malformed_http": "Send a valid HTTP/1.1 request (RFC 9112) on a new connection.",
    "foreign_origin": "Send it from a program instead of a web page.",
    "unknown_path": "Use one of the paths in paths.",
    "method_not_allowed": "Use one of the methods in allow.",
    "request_too_slow": "Send the whole request without pauses.",
    "content_too_large": "Send a smaller body, or several requests.",
    "url_too_long": "Use a shorter URL.",
    "unsupported_media_type": "Declare the body with Content-Type: application/json.",
    "misdirected_request": "Use the server's IP address, localhost or a name it was started with.",
    "head_too_large": "Send fewer and shorter header fields; only Host is required.",
    "expectation_failed": "Leave Expect out, or send Expect: 100-continue.",
    "not_implemented": "Leave out what the detail names.",
    "unsupported_http_version": "Use HTTP/1.1.",
}
"""By code, in terms of HTTP."""
_ADVICE_BELOW_500: Final = "Correct the request; the detail says how."
_ADVICE_FROM_500: Final = "Retry later. If it goes on, see the node's log."
"""For the codes of later versions, which another node may use."""

_CHALLENGE: Final = (
    b'\r\nWWW-Authenticate: Bearer realm="kvorum"'
    b'\r\nWWW-Authenticate: Basic realm="kvorum", charset="UTF-8"'
)
"""How a client may say who it is (RFC 6750, RFC 7617)."""

_encode: Final = msgspec.json.Encoder().encode


def problem(error: KvorumError) -> bytes:
    """The body of the answer that tells of `error`."""
    status = status_of(error)
    members = msgspec.structs.asdict(
        Problem(
            title=REASONS[status],
            status=status,
            detail=_cut(error.message),
            code=error.code,
            outcome=error.outcome,
            advice=_advice(error, status),
        )
    )
    details = {name: value for name, value in error.details.items() if name not in members}
    return _encode(members | details)


def problem_fields(error: KvorumError) -> bytes:
    """The header fields that say what `error` says, for those who read only these."""
    fields = _CHALLENGE if isinstance(error, Unauthenticated) else b""
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
