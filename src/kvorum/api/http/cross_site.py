"""Requests that a web page of another site makes: none of them may change anything.

A browser lets any page send requests to any server, one on the same machine included; the page
only does not get to see the answers. What it may send unasked is what an HTML form could (CORS
calls it a simple request): a GET, or a POST whose body is declared as a form or as plain text, or
not at all. Before anything else the browser asks the server by OPTIONS, and gets no leave here.

So three things are looked at before a request that may change something (CSRF):

    Origin             of which site the page is: that of the server, or there is no page
    Sec-Fetch-Site     what the browser says of this itself
    Content-Type       a kind of body that no form can send, where there is a body

Programs that are no browsers send neither of the first two. Where the body of a PUT or DELETE may
be of any type, the third is not looked at: pages cannot send these methods unasked.
"""

from __future__ import annotations

import re
from typing import Final

from kvorum.api.http.exchange import Fields
from kvorum.api.http.refusals import ForeignOrigin, UnsupportedMediaType, shown

_OWN_SITES: Final = frozenset({b"same-origin", b"none"})
"""`none`: the user asked for it, no page did."""
_DECLARABLE: Final = re.compile(
    rb"application/(?:json|octet-stream|[a-z0-9!#$&^_.+-]+\+json)[ \t]*(?:;.*)?", re.IGNORECASE
)
_NO_PAGE: Final = (
    "Send it from a program instead of a web page. Behind a proxy, have the proxy pass Host on as "
    "the browser sent it."
)
_DECLARE: Final = (
    "Add the header field Content-Type: application/json. With curl, send --json instead of -d "
    "(curl 7.82 or later), or add -H 'Content-Type: application/json'."
)


def check_origin(fields: Fields) -> None:
    """Raises ForeignOrigin if a page of another site sends this request."""
    origin = fields.get(b"origin")
    if origin is not None and not _is_own(origin, fields.get(b"host", b"")):
        raise ForeignOrigin(
            f"The request comes from a web page of another site, {shown(origin)}, and may change "
            "nothing here.",
            advice=_NO_PAGE,
        )
    site = fields.get(b"sec-fetch-site")
    if site is not None and site.lower() not in _OWN_SITES:
        raise ForeignOrigin(
            "The request comes from a web page of another site (Sec-Fetch-Site: "
            f"{shown(site)[1:-1]}), and may change nothing here.",
            advice=_NO_PAGE,
        )


def check_content_type(declared: bytes | None) -> None:
    """Raises UnsupportedMediaType unless a body that is `declared` so must be from no form."""
    if declared is None:
        raise UnsupportedMediaType("The body is not declared as JSON.", advice=_DECLARE)
    if not _DECLARABLE.fullmatch(declared):
        raise UnsupportedMediaType(
            f"The body is declared as {shown(declared)}, not as JSON.", advice=_DECLARE
        )


def _is_own(origin: bytes, host: bytes) -> bool:
    """An origin has no path. Its scheme does not count: a proxy may have ended TLS."""
    _, separator, authority = origin.partition(b"://")
    return bool(separator) and authority.lower() == host.lower()
