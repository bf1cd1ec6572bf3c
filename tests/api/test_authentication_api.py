"""Authentication over HTTP: who is let in, what a secure node answers to others, and revocation."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import Any, NamedTuple

import msgspec
import pytest
from kit.web import Web

from kvorum.model.certified_name import CertifiedName
from kvorum.model.errors import Unauthenticated
from kvorum.model.permissions import Grant
from kvorum.model.request import Put
from kvorum.model.security_catalog import SecurityCatalog, SecurityEntry
from kvorum.model.security_values import PrincipalLimits, Revocation, Token, User
from kvorum.runtime.loop import LoopRuntime
from kvorum.service.access import GrantPolicy
from kvorum.service.catalog_authenticator import CatalogAuthenticator
from kvorum.service.passwords import PasswordWork, kept_password
from kvorum.service.principal import Principal
from kvorum.service.tokens import NewToken, new_token

PASSWORD = kept_password(b"correct horse")


class Secure:
    """The catalog of a secure node, and its authenticator."""

    def __init__(self) -> None:
        self.catalog = SecurityCatalog()
        loop = asyncio.get_running_loop()
        self.work = PasswordWork(loop.call_soon_threadsafe)
        self.authenticator = CatalogAuthenticator(self.catalog, LoopRuntime(loop), self.work)
        self._stamp = 0

    def put(self, value: Token | User) -> None:
        kind, name = ("token", value.id) if isinstance(value, Token) else ("user", value.name)
        self._change(kind, name, value)

    def remove(self, kind: str, name: str) -> None:
        self._change(kind, name, None)

    def token(self, role: str, **fields: Any) -> NewToken:
        """A new token named t."""
        made = new_token()
        grant = {name: fields.pop(name) for name in ("namespace", "prefix") if name in fields}
        grants = (Grant(role=role, **grant),)
        token = Token(
            id=made.id, name="t", digest=made.digest, grants=grants, created_ms=1, **fields
        )
        self.put(token)
        return made

    def revoke(self, serial: str) -> None:
        self._change("revocation", serial, Revocation(serial=serial, name="ada", revoked_ms=1))

    def _change(self, kind: Any, name: str, value: Any) -> None:
        self._stamp += 1
        entry = SecurityEntry(kind, name, self._stamp, 0, value)
        self.catalog, _ = self.catalog.merged([entry])
        self.authenticator.on_catalog(self.catalog)


async def secure(web: Web) -> Secure:
    made = Secure()
    await web.start(policy=GrantPolicy(), authenticator=made.authenticator)
    return made


def bearer(token: NewToken) -> dict[str, Any]:
    return {"authorization": f"Bearer {token.text}"}


def basic(name: str, password: str) -> dict[str, Any]:
    return {"authorization": "Basic " + b64encode(f"{name}:{password}".encode()).decode()}


async def test_whoever_shows_nothing_may_only_see_health(web: Web) -> None:
    await secure(web)
    assert (await web.ask("GET", "/health")).status == 200
    answer = await web.ask("GET", "/entry/k")
    assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
    assert answer.fields["www-authenticate"].startswith(("Bearer", "Basic"))
    assert not web.node.requests


async def test_a_token_opens_what_is_granted_to_it(web: Web) -> None:
    made = await secure(web)
    token = made.token("writer", prefix="user:")
    client = await web.client()
    for _ in range(3):
        answer = await client.ask("PUT", "/entry/user:1", b"1", **bearer(token))
        assert answer.status in (200, 201)
        assert (await client.ask("GET", "/entry/user:1", **bearer(token))).status == 200
    answer = await client.ask("GET", "/entry/order:1", **bearer(token))
    assert answer.status == 403
    assert answer.json["detail"] == (
        "The token 't' has no permission 'read' for the key 'order:1' in the namespace 'default'."
    )
    assert (await client.ask("GET", "/entries?prefix=user:1", **bearer(token))).status == 200
    answer = await client.ask("GET", "/entries?prefix=u", **bearer(token))
    assert (answer.status, answer.json["prefix"]) == (403, "u")
    assert (await client.ask("GET", "/status", **bearer(token))).status == 403
    assert (await client.ask("GET", "/ring", **bearer(token))).status == 200


@pytest.mark.parametrize(
    "shown",
    [
        "Bearer kvt_5a00abc10d0f_" + "A" * 43,
        "Bearer abc",
        "Bearer",
        "Bearer a b",
        "Digest abc",
        "Basic abc",
        "Basic " + b64encode(b"no colon").decode(),
        "Bearer " + "x" * 3000,
        "",
    ],
)
async def test_what_is_wrong_is_refused_and_the_connection_closed(web: Web, shown: str) -> None:
    await secure(web)
    client = await web.client()
    answer = await client.ask("GET", "/health", authorization=shown)
    assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
    assert answer.fields["connection"] == "close"
    assert "x" * 100 not in answer.json["detail"]
    await client.closed()


async def test_two_credentials_are_none(web: Web) -> None:
    made = await secure(web)
    token = made.token("admin")
    line = f"Authorization: Bearer {token.text}\r\n"
    client = await web.client()
    client.send(f"GET /ring HTTP/1.1\r\nHost: localhost\r\n{line}{line}\r\n".encode())
    assert (await client.response()).status == 401


async def test_nobody_is_read_a_body_from(web: Web) -> None:
    await secure(web)
    client = await web.client()
    client.send(
        b"POST /entry HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 60000\r\n\r\n"
    )
    assert (await client.response()).status == 401


@pytest.mark.parametrize("kind", ["revoked", "expired"])
async def test_what_is_taken_from_a_token_is_taken_from_its_connections(
    web: Web, kind: str
) -> None:
    made = await secure(web)
    far_ms = 1 << 45
    token = made.token("writer", expires_ms=far_ms)
    client = await web.client()
    for _ in range(2):
        await client.ask("GET", "/entry/k", **bearer(token))
    if kind == "revoked":
        made.remove("token", token.id)
    else:
        made.authenticator.on_tick(far_ms - 1)
        assert (await client.ask("GET", "/ring", **bearer(token))).status == 200
        value = made.catalog.token(token.id)
        assert value is not None
        made.put(msgspec.structs.replace(value, expires_ms=1))
    asked = len(web.node.requests)
    answer = await client.ask("GET", "/entry/k", **bearer(token))
    assert (answer.status, len(web.node.requests)) == (401, asked)
    assert made.authenticator.principals == 0


async def test_other_grants_count_at_once(web: Web) -> None:
    made = await secure(web)
    token = made.token("reader")
    client = await web.client()
    assert (await client.ask("PUT", "/entry/k", b"1", **bearer(token))).status == 403
    value = made.catalog.token(token.id)
    assert value is not None
    made.put(msgspec.structs.replace(value, grants=(Grant(role="writer"),)))
    assert (await client.ask("PUT", "/entry/k", b"1", **bearer(token))).status == 201


async def test_a_password_is_verified_once_and_others_do_not_wait(web: Web) -> None:
    made = await secure(web)
    made.put(User(name="ada", grants=(Grant(role="writer"),), password=PASSWORD))
    token = made.token("reader")
    client = await web.client()
    put = "PUT /entry/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nAuthorization: "
    shown = basic("ada", "correct horse")["authorization"]
    for value in b"123":
        client.send(f"{put}{shown}\r\n\r\n{value - 48}".encode())
    assert (await web.ask("GET", "/ring", **bearer(token))).status == 200
    assert not web.node.requests
    assert [(await client.response()).status for _ in range(3)] == [201, 200, 200]
    values = [request.value for request in web.node.requests if isinstance(request, Put)]
    assert values == [b"1", b"2", b"3"]
    made.work.close()
    assert (await web.ask("GET", "/entry/k", **basic("ada", "correct horse"))).status == 200


async def test_wrong_passwords_have_to_wait_and_lock_nobody_out(web: Web) -> None:
    made = await secure(web)
    made.put(User(name="ada", grants=(Grant(role="writer"),), password=PASSWORD))
    right = basic("ada", "correct horse")
    assert (await web.ask("GET", "/ring", **right)).status == 200
    for _ in range(5):
        answer = await web.ask("GET", "/ring", **basic("ada", "wrong"))
        assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
    for name in ("ada", "bob"):
        answer = await web.ask("GET", "/ring", **basic(name, "wrong"))
        assert (answer.status, answer.json["code"]) == (429, "too_many_attempts")
        assert int(answer.fields["retry-after"]) >= 1
    assert (await web.ask("GET", "/ring", **right)).status == 200
    token = made.token("reader")
    assert (await web.ask("GET", "/ring", **bearer(token))).status == 200


async def test_limits_of_a_token(web: Web) -> None:
    made = await secure(web)
    limits = PrincipalLimits(requests_per_s=2, connections=1)
    token = made.token("writer", limits=limits)
    client = await web.client()
    statuses = [(await client.ask("GET", "/ring", **bearer(token))).status for _ in range(4)]
    assert statuses[:2] == [200, 200]
    assert 429 in statuses
    other = await web.client()
    answer = await other.ask("GET", "/ring", **bearer(token))
    assert (answer.status, answer.json["code"]) == (429, "too_many_requests")
    assert "1 connections" in answer.json["detail"]
    await client.close()


@pytest.mark.parametrize("name", ["token", "access_token"])
async def test_a_token_in_a_url_is_refused_and_not_repeated(web: Web, name: str) -> None:
    made = await secure(web)
    token = made.token("admin")
    client = await web.client()
    answer = await client.ask("GET", f"/entry/k?{name}={token.text}")
    assert answer.status == 400
    assert "Authorization: Bearer" in answer.json["detail"]
    assert token.text not in answer.body.decode()
    answer = await client.ask("GET", f"http://{token.text}@localhost/entry/k")
    assert answer.status == 400
    assert token.text not in answer.body.decode()


class Shows(NamedTuple):
    """A caller."""

    source: str
    certified: CertifiedName | None


async def test_a_clients_certificate_is_the_user_that_it_names(web: Web) -> None:
    made = await secure(web)
    made.put(User(name="ada", grants=(Grant(role="reader"),)))
    identify = made.authenticator.identify
    ada = Shows("10.0.0.1", CertifiedName("c", "client", "ada", "1f"))
    principal = identify(None, ada)
    assert isinstance(principal, Principal)
    assert (principal.name, principal.kind, principal.valid) == ("ada", "certificate", True)
    nobody = identify(None, Shows("10.0.0.1", CertifiedName("c", "node", "ada", "2f")))
    assert isinstance(nobody, Principal)
    assert (nobody.kind, nobody.valid) == ("anonymous", False)
    with pytest.raises(Unauthenticated, match="has no such user"):
        identify(None, Shows("10.0.0.1", CertifiedName("c", "client", "bob", "3f")))
    made.revoke("1f")
    assert not principal.valid
    with pytest.raises(Unauthenticated, match="was revoked"):
        identify(None, ada)
