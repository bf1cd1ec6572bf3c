"""docs/protocols.md has a row for every message, with its tag, and no other rows."""

from __future__ import annotations

import typing

import pytest
from protocols_page import rows

from kvorum.wire.handshake import Greeting
from kvorum.wire.messages import Message, Reply


def tags(kinds: object) -> dict[str, int]:
    return {kind.__name__: kind.__struct_config__.tag for kind in typing.get_args(kinds)}


@pytest.mark.parametrize(
    ("heading", "kinds"), [("## Messages", Message), ("## The greeting", Greeting)]
)
def test_every_message_has_one_row_with_its_tag(heading: str, kinds: object) -> None:
    found = [(row.name, row.tag) for row in rows(heading)]
    assert sorted(found) == sorted(tags(kinds).items())


def test_what_is_a_reply_stands_among_the_replies() -> None:
    """`Behind` is one, too: it reaches operations as a refusal."""
    assert {row.name for row in rows("### Replies")} == {*tags(Reply), "Behind"}


def test_requests_have_numbers_and_notices_have_none() -> None:
    fields = {kind.__name__: kind.__struct_fields__ for kind in typing.get_args(Message)}
    assert all("op" in fields[row.name] for row in rows("### Requests"))
    assert not any("op" in fields[row.name] for row in rows("### Notices"))
