"""What a head may ask for beyond a request of HTTP/1.1 without a body: rules and refusals."""

from __future__ import annotations

import re
from typing import Final

from kvorum.api.http.exchange import Fields
from kvorum.api.http.host_names import HostNames
from kvorum.api.http.refusals import (
    ContentTooLarge,
    ExpectationFailed,
    MalformedHttp,
    NotImplementedHere,
    UnsupportedHttpVersion,
    shown,
)
from kvorum.model.errors import KvorumError

MEANINGFUL: Final = frozenset(
    {
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"expect",
        b"host",
        b"if-match",
        b"if-none-match",
        b"origin",
        b"sec-fetch-site",
        b"transfer-encoding",
    }
)
"""The header fields that mean something here, in lower case."""

_AUTHORITY: Final = re.compile(rb"[^/?]*")
_VERSION_ERRORS: Final = {"Invalid HTTP version", "Pause on PRI/Upgrade"}


def origin_form(target: bytes, names: HostNames) -> bytes:
    """A request target as /path?query. Raises MalformedHttp or MisdirectedRequest."""
    if b"#" in target:
        raise MalformedHttp("The request target has a fragment: leave out '#' and what follows.")
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        return target
    authority = _AUTHORITY.match(rest)
    assert authority is not None, "it matches nothing as well"
    if b"@" in authority.group():
        raise MalformedHttp(
            "The request target has a name or password before its host. Send them in the field "
            "Authorization."
        )
    names.check(authority.group())
    rest = rest[authority.end() :]
    return rest if rest.startswith(b"/") else b"/" + rest


def without_offer(method: bytes, target: bytes, version: str, fields: Fields) -> bytes:
    """A head with all that means something here; the offer of another protocol does not."""
    text = b"".join(b"%b: %b\r\n" % field for field in fields.items())
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method, target, version.encode("ascii"), text)


def check_coding(coding: bytes, version: str) -> None:
    """Raises MalformedHttp or NotImplementedHere if a body cannot have this Transfer-Encoding."""
    if version == "1.0":
        raise MalformedHttp("A request of HTTP/1.0 cannot have Transfer-Encoding.")
    if coding.lower() != b"chunked":
        raise NotImplementedHere(
            f"The Transfer-Encoding {shown(coding)} is not served, only 'chunked'."
        )


def check_expectation(expectation: bytes) -> None:
    """Raises ExpectationFailed if it is none that this server meets."""
    if expectation.lower() != b"100-continue":
        raise ExpectationFailed(f"The expectation {shown(expectation)} is not known.")


def too_large(size: str, most: int) -> ContentTooLarge:
    """The refusal of a body of `size` bytes, where at most `most` are taken."""
    if not most:
        return ContentTooLarge(
            f"The body has {size} bytes; this call takes no body.",
            wanted="no body",
            advice="Send the request without a body.",
        )
    wanted = f"at most {most} bytes"
    return ContentTooLarge(f"The body has {size} bytes; this call takes {wanted}.", wanted=wanted)


def not_http(reason: str) -> KvorumError:
    """The refusal of bytes that the parser does not read as a request, for this `reason`."""
    if reason in _VERSION_ERRORS:
        return UnsupportedHttpVersion("Only HTTP/1.1 and HTTP/1.0 are served.")
    return MalformedHttp(f"This is no request of HTTP/1.1: {reason}.")
