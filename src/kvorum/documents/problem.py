"""The body of an answer that tells of an error: application/problem+json (RFC 9457)."""

from __future__ import annotations

import msgspec

from kvorum.model.errors import Outcome


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What every such body has; the error's details are further members beside these.

    `code` is stable, for programs. `outcome`: whether anything was changed. `detail` says what is
    wrong, `advice` what to do next.
    """

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    outcome: Outcome
    advice: str
