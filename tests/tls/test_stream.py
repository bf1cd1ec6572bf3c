"""The stream alone: two of them, and the bytes between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.certificates import CLUSTER, TestAuthority

from kvorum.tls.faults import TlsFault
from kvorum.tls.node_tls import NodeTls
from kvorum.tls.stream import TlsStream


def pair(authority: TestAuthority) -> tuple[TlsStream, TlsStream]:
    """A dialing and an accepting stream, both open."""
    tls = NodeTls(authority.node("n1").files, CLUSTER, lambda _serial: False)
    dialing, accepting = tls.dialing_end().stream(), tls.accepting_end().stream()
    dialing.shake(b"")
    while dialing.has_more_to_say or accepting.has_more_to_say:
        accepting.shake(dialing.take())
        if accepting.has_more_to_say:
            dialing.shake(accepting.take())
    assert dialing.open
    assert accepting.open
    return dialing, accepting


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    return TestAuthority(tmp_path_factory.mktemp("certs"))


SIZES = st.lists(st.integers(0, 70_000), max_size=5)


@given(sizes=SIZES, cuts=st.lists(st.integers(1, 40_000), min_size=1, max_size=20))
def test_what_is_encrypted_comes_out_whatever_it_is_cut_into(
    shared: TestAuthority, sizes: list[int], cuts: list[int]
) -> None:
    one, other = pair(shared)
    said = [bytes([index + 1]) * size for index, size in enumerate(sizes)]
    sealed = b"".join(one.encrypt(part) for part in said) + one.close()
    heard, at, turn = b"", 0, 0
    while at < len(sealed):
        size = cuts[turn % len(cuts)]
        heard += other.decrypt(sealed[at : at + size])
        at, turn = at + size, turn + 1
    assert heard == b"".join(said)
    assert other.ended


def test_a_side_that_has_closed_still_hears_the_other(authority: TestAuthority) -> None:
    one, other = pair(authority)
    assert other.decrypt(one.encrypt(b"the last request") + one.close()) == b"the last request"
    assert other.ended
    assert one.decrypt(other.encrypt(b"its answer")) == b"its answer"
    assert not one.ended
    assert one.decrypt(other.close()) == b""
    assert one.ended


def test_a_record_that_was_changed_is_a_fault_and_gives_nothing(authority: TestAuthority) -> None:
    one, other = pair(authority)
    sealed = bytearray(one.encrypt(b"a secret"))
    sealed[10] ^= 1
    with pytest.raises(TlsFault, match=r"The TLS connection has failed: .*mac"):
        other.decrypt(bytes(sealed))
    assert other.has_more_to_say
