"""A node at another epoch carries out no request that the difference concerns: what then."""

from __future__ import annotations

import pytest
from kit.stage import Stage

from kvorum.model.request import Answer, Failure, Get, Put, Request, Result
from kvorum.model.topology import NamespaceSettings
from kvorum.wire.messages import Behind, Fetch, Forward, Message, Read, Write

SETTINGS = NamespaceSettings(replicas=3, read=2, write=2)


class Apart(Stage):
    """The nodes in `elsewhere` are at another epoch, with other members."""

    def __init__(self) -> None:
        self.elsewhere: set[int] = set()
        super().__init__(4, SETTINGS)

    def post(self, sender: int, node: int, message: Message) -> None:
        if node in self.elsewhere and isinstance(message, Forward | Write | Read | Fetch):
            super().post(node, sender, Behind(message.op, 2))
        else:
            super().post(sender, node, message)

    def result(self, node: int, request: Request) -> Result:
        """The answer that comes at once, while no deadline passes."""
        answers = self.ask(node, request)
        self.settle()
        [answer] = answers
        return answer

    def owners(self, key: str) -> tuple[int, ...]:
        return self.views[0].place("default", key).replicas.natural


def put(value: bytes) -> Put:
    return Put("default", "apple", 1, value)


def test_one_that_is_behind_is_not_waited_for() -> None:
    stage = Apart()
    first, second, third = stage.owners("apple")
    stage.elsewhere = {third}
    assert isinstance(stage.result(first, put(b"1")), Answer)
    assert isinstance(stage.result(second, Get("default", "apple")), Answer)
    stage.elsewhere = {second, third}
    refused = stage.result(first, put(b"2"))
    assert isinstance(refused, Failure)
    assert refused.code == "quorum_not_met"
    unread = stage.result(first, Get("default", "apple"))
    assert isinstance(unread, Failure)
    assert unread.code == "quorum_not_met"


def test_a_write_that_its_coordinator_refuses_has_done_nothing_and_says_so() -> None:
    stage = Apart()
    first, *_ = stage.owners("apple")
    [other] = set(range(4)) - set(stage.owners("apple"))
    stage.elsewhere = {first}
    refused = stage.result(other, put(b"1"))
    assert isinstance(refused, Failure)
    assert (refused.code, refused.outcome) == ("connection_failed", "none")
    assert refused.message == (
        f"Nothing was written: n{first + 1}, the coordinator of the key, has other nodes in its "
        "cluster file than the node that was asked. Give all nodes the same file."
    )


@pytest.mark.parametrize("node", range(4))
def test_who_comes_to_the_same_epoch_serves_again(node: int) -> None:
    stage = Apart()
    stage.elsewhere = {stage.owners("apple")[0]}
    stage.result(node, put(b"1"))
    stage.elsewhere = set()
    assert isinstance(stage.result(node, put(b"2")), Answer)
