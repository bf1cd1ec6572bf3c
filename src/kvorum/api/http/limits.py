"""The bounds of HTTP requests; those of connections are in `listener/limits.py`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """The bounds of one request of HTTP."""

    url_bytes: int = 8 << 10
    head_bytes: int = 16 << 10
    """Request line and header fields, counted on the raw bytes. Also the most that is fed to
    the parser at a time while the length of what follows is not known."""
    header_fields: int = 64
    chunk_overhead_bytes: int = 16 << 10
    """What a chunked body may take beyond its content: chunk extensions and trailers."""
    chunks: int = 10_000
    large_body_bytes: int = 64 << 10
    """From this size on, a body counts into what the listener lets large requests hold."""
