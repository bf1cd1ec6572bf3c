"""Links under mutual TLS: who is let in by which certificate, and who is not."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kit.certificates import DAY, Issued, TestAuthority, raw_context
from kit.network import QUICK, Cluster, Play, Stranger, hello_of, ops, until

from kvorum.links.limits import LinksLimits
from kvorum.tls.node_tls import NodeTls
from kvorum.wire.handshake import Reject, Welcome

NAME = "test"


@pytest.fixture
def authority(tmp_path: Path) -> TestAuthority:
    return TestAuthority(tmp_path / "certs", NAME)


def secure(
    authority: TestAuthority,
    size: int,
    revoked: set[str] | None = None,
    limits: LinksLimits = QUICK,
) -> Cluster:
    cluster = Cluster(size, limits, name=NAME)
    is_revoked = (set[str]() if revoked is None else revoked).__contains__
    for index in range(size):
        issued = authority.node(f"n{index}")
        cluster.tls[index] = NodeTls(issued.files, NAME, is_revoked)
    return cluster


async def refused(cluster: Cluster, context: ssl.SSLContext) -> None:
    """A connection to n0 with `context` ends, and nothing is said to it."""
    try:
        stranger = await cluster.stranger(0, context)
        stranger.challenge()
        assert await stranger.closed_by_other_side() == b""
    except (ssl.SSLError, ConnectionError):
        return


def test_nodes_talk_under_tls(play: Play, authority: TestAuthority) -> None:
    async def scenario() -> None:
        async with secure(authority, 2) as cluster:
            a, b = await cluster.start_all()
            a.send(1, ops(range(100)))
            b.send(0, ops(range(100)))
            await until(lambda: len(a.inbox.received) == len(b.inbox.received) == 100)
            [link] = a.network.peers.links
            assert link.certified is not None
            assert link.certified.uri == "kvorum://test/node/n1"

    play(scenario)


Shown = Callable[[TestAuthority, TestAuthority], Issued | None]
NOW = datetime.now(UTC)
REFUSED: dict[str, tuple[Shown, str]] = {
    "none": (lambda _ours, _other: None, "has shown no certificate"),
    "another authority's": (lambda _ours, other: other.node("n1"), "is of another authority"),
    "an expired one": (lambda ours, _: ours.node("n1", ends=NOW - DAY / 2), "has expired"),
    "one of tomorrow": (lambda ours, _: ours.node("n1", begins=NOW + DAY / 2), "is not valid yet"),
    "another cluster's": (
        lambda ours, _: ours.issue("n1", "kvorum://other/node/n1"),
        "is of another cluster than 'test'",
    ),
    "a client's": (lambda ours, _: ours.client("ann"), "is a client's, and only nodes may connect"),
    "nobody's": (lambda ours, _: ours.issue("n1", "https://example.org/"), "names no node"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_who_shows_the_wrong_certificate_is_refused(
    play: Play,
    authority: TestAuthority,
    tmp_path: Path,
    case: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    shown, reason = REFUSED[case]
    other = TestAuthority(tmp_path / "other", NAME)

    async def scenario() -> None:
        caplog.clear()
        async with secure(authority, 2) as cluster:
            a = await cluster.start(0)
            context = raw_context(shown=shown(authority, other))
            for _ in range(3):
                await refused(cluster, context)
            await until(lambda: reason in caplog.text)
            assert caplog.text.count("closed a connection from 127.0.0.1") == 1
            assert a.network.peers.links == set()
            assert a.inbox.heard == []

    play(scenario)


def test_a_node_that_greets_with_another_name_than_it_is_certified_for_is_refused(
    play: Play, authority: TestAuthority
) -> None:
    async def scenario() -> None:
        async with secure(authority, 3) as cluster:
            a = await cluster.start(0)
            stranger = await cluster.stranger(0, raw_context(shown=authority.node("n2")))
            verdict = await stranger.handshake(hello_of(a, 1))
            assert isinstance(verdict, Reject)
            assert "has shown the certificate kvorum://test/node/n2" in verdict.reason
            assert a.inbox.heard == []

    play(scenario)


def test_a_dialed_node_that_shows_the_certificate_of_another_is_refused(
    play: Play, authority: TestAuthority, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        caplog.clear()
        async with secure(authority, 3) as cluster:
            cluster.tls[1] = NodeTls(authority.node("n2").files, NAME, lambda _serial: False)
            a, _b = await cluster.start(0), await cluster.start(1)
            a.send(1, ops([1]))
            await until(lambda: "has shown the certificate kvorum://test/node/n2" in caplog.text)
            assert ("up", 1) not in a.inbox.heard

    play(scenario)


def test_a_revoked_certificate_is_refused_and_closes_what_is_open(
    play: Play, authority: TestAuthority, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        caplog.clear()
        revoked: set[str] = set()
        async with secure(authority, 2, revoked) as cluster:
            a = await cluster.start(0)
            issued = authority.node("n1")
            context = raw_context(shown=issued)
            stranger = await cluster.stranger(0, context)
            assert await stranger.handshake(hello_of(a, 1)) == Welcome()
            await until(lambda: ("up", 1) in a.inbox.heard)
            a.network.revoke(["abc"])
            assert len(a.network.peers.links) == 1
            revoked.add(issued.serial)
            a.network.revoke([issued.serial])
            await stranger.closed_by_other_side()
            assert "lost the link to n1: the certificate kvorum://test/node/n1 was" in caplog.text
            await refused(cluster, context)
            await until(lambda: f"serial number {issued.serial} was revoked" in caplog.text)

    play(scenario)


def test_nodes_speak_no_tls_below_1_3_and_no_plain_text(
    play: Play, authority: TestAuthority
) -> None:
    async def scenario() -> None:
        async with secure(authority, 2) as cluster:
            await cluster.start(0)
            older = raw_context(shown=authority.node("n1"))
            older.maximum_version = ssl.TLSVersion.TLSv1_2
            with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
                await cluster.stranger(0, older)
            plain = await cluster.stranger(0)
            plain.challenge()
            assert await plain.closed_by_other_side() == b""

    play(scenario)


def test_who_does_not_complete_the_tls_handshake_is_bounded_and_given_up(
    play: Play, authority: TestAuthority
) -> None:
    async def scenario() -> None:
        async with secure(authority, 2, limits=LinksLimits(greeting_max=2)) as cluster:
            a = await cluster.start(0)
            silent = [await Stranger.connect(cluster.addresses[0], b"") for _ in range(4)]
            for stranger in silent[:2]:
                assert await stranger.closed_by_other_side() == b""
            honest = await cluster.stranger(0, raw_context(shown=authority.node("n1")))
            assert await honest.handshake(hello_of(a, 1)) == Welcome()
            for stranger in silent:
                await stranger.leave()

    play(scenario)


def test_attempts_that_meet_no_tls_fail_and_say_so(
    play: Play, authority: TestAuthority, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        caplog.clear()
        async with secure(authority, 2) as cluster:
            a = await cluster.start(0)
            del cluster.tls[1]
            await cluster.start(1)
            a.send(1, ops([1]))
            await until(lambda: ("lost", 1) in a.inbox.heard)
            assert "cannot reach n1, still trying: It closed the connection during" in caplog.text

    play(scenario)
