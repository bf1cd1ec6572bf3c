"""The bytes that responses begin with.

    HTTP/1.1 200 OK CRLF
    Date: ... CRLF
    Content-Type: application/json CRLF
    Content-Length: n              <- `Heads` holds everything up to n, one per status
    CRLF name: value ...           <- further fields, each with its CRLF in front
    CRLF CRLF body

Only the Date changes, once a second, so each head is made once a second at most. A 304 has
neither type nor length: they would be those of the 200.
"""

from __future__ import annotations

from email.utils import formatdate
from typing import Final

CLOSE: Final = b"\r\nConnection: close"
KEEP_ALIVE: Final = b"\r\nConnection: keep-alive"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

REASONS: Final = {
    200: "OK",
    201: "Created",
    202: "Accepted",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    412: "Precondition Failed",
    413: "Content Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    417: "Expectation Failed",
    421: "Misdirected Request",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
    507: "Insufficient Storage",
}
"""Every status this server answers with (RFC 9110, section 15; RFC 4918; RFC 6585)."""

_NO_CONTENT: Final = 304


class Heads(dict[int, bytes]):
    """Status to the first bytes of such a response."""

    def __init__(self, wall_s: float) -> None:
        super().__init__()
        self._second = -1
        self._date = ""
        self.set_date(wall_s)

    def set_date(self, wall_s: float) -> None:
        """Use the date of `wall_s` (seconds since 1970) from now on."""
        second = int(wall_s)
        if second != self._second:
            self._second = second
            self._date = formatdate(second, usegmt=True)
            self.clear()

    def __missing__(self, status: int) -> bytes:
        start = self._start(status)
        if status != _NO_CONTENT:
            kind = "json" if status < 300 else "problem+json"
            start += f"\r\nContent-Type: application/{kind}\r\nContent-Length: "
        head = self[status] = start.encode("ascii")
        return head

    def of_type(self, status: int, media_type: bytes) -> bytes:
        """The first bytes of a response whose body is of another type than JSON."""
        start = self._start(status).encode("ascii")
        return b"%b\r\nContent-Type: %b\r\nContent-Length: " % (start, media_type)

    def _start(self, status: int) -> str:
        return f"HTTP/1.1 {status} {REASONS[status]}\r\nDate: {self._date}"
