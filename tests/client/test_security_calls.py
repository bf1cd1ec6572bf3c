"""Tokens, users, roles and revoked certificates, as both clients ask for them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from kit.security import ADMIN_ID, NOW_MS, TOKEN_ID, FakeSecurity
from kit.security_server import SecurityServer, serving

import kvorum
import kvorum.aio
from kvorum.client import security_requests
from kvorum.client.security_calls import SecurityCalls
from kvorum.documents.security import ShownGrant
from kvorum.embedded.embedded import Embedded
from kvorum.errors import KvorumError, NotFound, PreconditionFailed, RequestError, WrongType
from kvorum.service.tokens import digest_of

SECRET = "correct horse"


@pytest.fixture(scope="module")
def server() -> Iterator[SecurityServer]:
    with serving(FakeSecurity()) as server:
        yield server


@pytest.fixture
def client(server: SecurityServer) -> Iterator[kvorum.Client]:
    with kvorum.connect(f"kvorum://{server.server}") as client:
        yield client


def test_a_token_from_its_making_to_its_end(client: kvorum.Client, server: SecurityServer) -> None:
    made = client.create_token(
        "till", ["reader", "writer"], namespace="orders", prefix="a/", expires=timedelta(days=1)
    )
    kept = server.security.shared.catalog.token(made.id)
    assert kept is not None
    assert kept.digest == digest_of(made.token.encode())
    assert made.token not in repr(made)
    assert made.grants == [
        ShownGrant(role="reader", namespace="orders", prefix="a/"),
        ShownGrant(role="writer", namespace="orders", prefix="a/"),
    ]
    assert made.expires_ms == NOW_MS + 86_400_000
    assert (made.known_by, made.not_yet) == (["n1", "n2"], ["n3"])
    assert made.id in {one.id for one in client.tokens()}
    assert client.revoke_token(made.id).not_yet == ["n3"]
    with pytest.raises(NotFound):
        client.revoke_token(made.id)


def test_grants_that_differ_and_limits(client: kvorum.Client) -> None:
    grants = [{"role": "reader", "namespace": "orders"}, {"role": "monitor"}]
    made = client.create_token("x", grants=grants, limits={"requests_per_s": 7})
    assert made.grants == [
        ShownGrant(role="reader", namespace="orders"),
        ShownGrant(role="monitor"),
    ]
    assert made.limits is not None
    assert made.limits.requests_per_s == 7
    assert made.expires_ms is None


def test_a_user_from_its_making_to_its_end(client: kvorum.Client, server: SecurityServer) -> None:
    made = client.set_user("bob", "reader", password=SECRET, exists=False).user
    assert (made.name, made.has_password) == ("bob", True)
    with pytest.raises(PreconditionFailed):
        client.set_user("bob", "reader", exists=False)
    altered = client.set_user("bob", limits={"connections": 2}).user
    assert altered.limits is not None
    assert altered.limits.connections == 2
    assert altered.has_password
    assert not client.set_user("bob", password="").user.has_password
    assert "bob" in {one.name for one in client.users()}
    client.remove_user("bob")
    with pytest.raises(NotFound):
        client.set_user("bob", password=SECRET, exists=True)


def test_a_role_from_its_making_to_its_end(client: kvorum.Client) -> None:
    made = client.set_role("browser", ["read", "list"], namespace="orders").role
    assert made.permissions == ["read", "list"]
    assert client.set_role("browser", "list").role.namespace is None
    names = [one.name for one in client.roles()]
    assert names[0] == "reader"
    assert "browser" in names
    client.remove_role("browser")
    with pytest.raises(RequestError, match="built in"):
        client.remove_role("reader")


def test_certificates_that_are_not_accepted_any_more(client: kvorum.Client) -> None:
    revoked = client.revoke_certificate("1a2b", "n3", NOW_MS)
    assert client.revocations() == [revoked.revocation]


def test_who_a_client_is(client: kvorum.Client) -> None:
    assert client.whoami().grants == [ShownGrant(role="reader", namespace="orders", prefix="2026/")]


def test_the_asynchronous_client_has_the_same(server: SecurityServer) -> None:
    async def run() -> None:
        async with kvorum.aio.connect(f"kvorum://{server.server}") as client:
            made = await client.create_token("till", "reader")
            assert made.id in {one.id for one in await client.tokens()}
            with pytest.raises(RequestError, match="last administrator"):
                await client.revoke_token(ADMIN_ID)
            assert (await client.whoami()).secure

    asyncio.run(run())


@pytest.mark.parametrize("name", [name for name in vars(SecurityCalls) if name[0] != "_"])
def test_both_clients_have_them_and_the_embedded_store_does_not(name: str) -> None:
    assert hasattr(kvorum.Client, name)
    assert name == "ask" or not hasattr(Embedded, name)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.create_token("a b", "reader"),
        lambda client: client.create_token("x"),
        lambda client: client.create_token("x", "king"),
        lambda client: client.create_token("x", "reader", expires=0),
        lambda client: client.create_token("x", "reader", expires=-1),
        lambda client: client.create_token("x", "reader", expires=1.5),
        lambda client: client.create_token("x", "reader", expires=timedelta(0)),
        lambda client: client.create_token("x", "reader", limits={"speed": 1}),
        lambda client: client.set_user("bob"),
        lambda client: client.set_user("a/b", "reader"),
        lambda client: client.set_role("x", []),
        lambda client: client.set_role("x", "fly"),
        lambda client: client.revoke_token("../users"),
        lambda client: client.revoke_certificate("xyz", "n3"),
    ],
)
def test_what_cannot_be(client: kvorum.Client, server: SecurityServer, call: Any) -> None:
    before = server.security.shared.catalog
    with pytest.raises(RequestError) as caught:
        call(client)
    assert caught.value.outcome == "none"
    assert server.security.shared.catalog is before
    assert server.security.shared.catalog.token(TOKEN_ID) is not None


@pytest.mark.parametrize("password", [b"bytes are no text", "half \ud800 a pair"])
def test_a_password_that_is_no_text(client: kvorum.Client, password: Any) -> None:
    with pytest.raises(WrongType) as caught:
        client.set_user("bob", "reader", password=password)
    assert "half" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_no_repr_shows_a_password() -> None:
    request = security_requests.set_user("bob", None, SECRET, None, None)
    assert SECRET.encode() in request.body
    assert SECRET not in repr(request)


def test_a_cluster_that_authenticates_nobody() -> None:
    with serving(None) as server, kvorum.connect(f"kvorum://{server.server}") as client:
        with pytest.raises(KvorumError) as caught:
            client.tokens()
        assert caught.value.code == "open_cluster"
        assert isinstance(caught.value, RequestError)
        assert not client.whoami().secure
