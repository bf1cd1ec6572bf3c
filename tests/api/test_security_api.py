"""The calls about tokens, users, roles and revoked certificates: what reaches the catalog, what is
answered, what is refused, and that no answer tells a secret but the one.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from kit.security import ADMIN_ID, NOW_MS, TOKEN_ID, FakeSecurity
from kit.web import Response, Web

from kvorum.model.errors import Overloaded, StorageError
from kvorum.model.permissions import Grant
from kvorum.model.security_catalog import SecurityEntry
from kvorum.model.security_values import Token, User
from kvorum.service.tokens import digest_of

GRANTS = [{"role": "writer", "namespace": "orders", "prefix": "2026/"}, {"role": "monitor"}]
REACH = {"known_by": ["n1", "n2"], "not_yet": ["n3"]}


def secure(web: Web) -> FakeSecurity:
    assert web.security is not None
    return web.security


async def ask(web: Web, method: str, path: str, **body: Any) -> Response:
    return await web.ask(method, path, json.dumps(body).encode() if body else None)


def told(answer: Response, status: int = 200) -> dict[str, Any]:
    assert answer.status == status, answer.body
    document: dict[str, Any] = answer.json
    return document


async def refused(web: Web, status: int, method: str, path: str, **body: Any) -> str:
    """The detail, once it is sure that nothing was changed."""
    problem = told(await ask(web, method, path, **body), status)
    assert problem["outcome"] == "none"
    assert secure(web).shared.changed == []
    return str(problem["detail"])


# Tokens


async def test_the_text_of_a_token_is_told_once_and_its_digest_kept(web: Web) -> None:
    limits = {"requests_per_s": 5, "bytes_per_s": 0, "connections": 2}
    made = told(
        await ask(web, "POST", "/tokens", name="till", grants=GRANTS, expires_s=60, limits=limits),
        201,
    )
    text = made.pop("token")
    kept = secure(web).shared.catalog.token(made["id"])
    assert kept is not None
    assert kept.digest == digest_of(text.encode())
    shown = {
        "id": made["id"],
        "name": "till",
        "grants": GRANTS,
        "created_ms": NOW_MS,
        "expires_ms": NOW_MS + 60_000,
        "limits": limits,
    }
    assert made == shown | REACH
    listed = await ask(web, "GET", "/tokens")
    assert shown in listed.json["tokens"]
    assert text.encode() not in listed.body
    assert b"digest" not in listed.body
    assert kept.digest.encode() not in listed.body


async def test_a_token_without_a_lifetime_does_not_expire(web: Web) -> None:
    made = told(await ask(web, "POST", "/tokens", name="till", grants=[{"role": "reader"}]), 201)
    assert "expires_ms" not in made
    assert "limits" not in made
    kept = secure(web).shared.catalog.token(made["id"])
    assert isinstance(kept, Token)
    assert kept.expires_ms == 0


async def test_several_tokens_may_have_one_name(web: Web) -> None:
    made = [
        told(await ask(web, "POST", "/tokens", name="shop", grants=[{"role": "reader"}]), 201)
        for _ in range(2)
    ]
    assert len({one["id"] for one in made} | {TOKEN_ID}) == 3


async def test_a_token_is_revoked_for_good(web: Web) -> None:
    assert told(await ask(web, "DELETE", f"/tokens/{TOKEN_ID}")) == REACH
    assert secure(web).shared.catalog.token(TOKEN_ID) is None
    secure(web).shared.changed.clear()
    said = await refused(web, 404, "DELETE", f"/tokens/{TOKEN_ID}")
    assert TOKEN_ID in said


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "No JSON is given"),
        ({"name": "a b", "grants": [{"role": "reader"}]}, "'a b' is no name"),
        ({"name": "", "grants": [{"role": "reader"}]}, "is no name"),
        ({"name": "x"}, "Field 'grants' is missing"),
        ({"name": "x", "grants": []}, "No role is given"),
        ({"name": "x", "grants": [{"role": "king"}]}, "reader, writer, monitor, operator, admin"),
        ({"name": "x", "grants": [{"role": "reader"}] * 33}, "more than 32"),
        ({"name": "x", "grants": [{"role": "reader", "namespace": "a b"}]}, "'a b'"),
        ({"name": "x", "grants": [{"role": "reader", "prefix": "p" * 1025}]}, "1025 bytes"),
        ({"name": "x", "grants": [{"role": "clerk", "namespace": "bills"}]}, "allows nothing"),
        ({"name": "x", "grants": [{"role": "reader", "prefx": "p"}]}, "Unknown field"),
        ({"name": "x", "grants": [{"role": "monitor", "prefix": "p"}]}, "allows status, which"),
        ({"name": "x", "grants": [{"role": "admin", "prefix": "p"}]}, "a prefix cannot narrow it"),
        ({"name": "x", "grants": [{"role": "reader"}], "expires_s": 0}, "0 seconds"),
        ({"name": "x", "grants": [{"role": "reader"}], "expires_s": -1}, "-1 seconds"),
        ({"name": "x", "grants": [{"role": "reader"}], "expires_s": 315_360_001}, "10 years"),
        ({"name": "x", "grants": [{"role": "reader"}], "expires_s": "1d"}, "expires_s"),
        ({"name": "x", "grants": [{"role": "reader"}], "limits": {"speed": 1}}, "Unknown field"),
        (
            {"name": "x", "grants": [{"role": "reader"}], "limits": {"connections": -1}},
            "connections",
        ),
        ({"name": "x", "grants": [{"role": "reader"}], "token": "mine"}, "Unknown field 'token'"),
    ],
)
async def test_a_token_that_cannot_be(web: Web, body: dict[str, Any], said: str) -> None:
    assert said in await refused(web, 400, "POST", "/tokens", **body)


async def test_a_field_given_twice(web: Web) -> None:
    text = b'{"name":"x","name":"y","grants":[{"role":"reader"}]}'
    assert (await web.ask("POST", "/tokens", text)).status == 400
    assert secure(web).shared.changed == []


async def test_a_change_that_the_disk_refuses(web: Web) -> None:
    secure(web).shared.error = StorageError("no room", outcome="unknown")
    answer = await ask(web, "POST", "/tokens", name="x", grants=[{"role": "reader"}])
    assert (answer.status, answer.json["outcome"]) == (500, "unknown")
    assert b"kvt_" not in answer.body


# Users


async def test_a_user_is_made_altered_and_removed(web: Web) -> None:
    made = told(await ask(web, "PUT", "/users/bob", grants=GRANTS, password="pass word"), 201)
    assert made == {"user": {"name": "bob", "grants": GRANTS, "has_password": True}} | REACH
    altered = told(await ask(web, "PUT", "/users/bob", limits={"connections": 3}))
    assert altered["user"]["limits"]["connections"] == 3
    assert altered["user"]["has_password"]
    assert altered["user"]["grants"] == GRANTS
    without = told(await ask(web, "PUT", "/users/bob", password=None, limits=None))
    assert without["user"] == {"name": "bob", "grants": GRANTS, "has_password": False}
    assert told(await ask(web, "DELETE", "/users/bob")) == REACH
    listed = told(await ask(web, "GET", "/users"))
    assert [one["name"] for one in listed["users"]] == ["ann"]


async def test_no_answer_tells_a_password(web: Web) -> None:
    secret = "correct horse"
    answers = [
        await ask(web, "PUT", "/users/bob", grants=GRANTS, password=secret),
        await ask(web, "GET", "/users"),
        await ask(web, "PUT", "/users/bob", grants=[{"role": "king"}], password=secret),
        await ask(web, "PUT", "/users/bob", password=secret, exists=False),
        await ask(web, "PUT", "/users/bob", password=[secret]),
        await ask(web, "PUT", "/users/bob", password="short"),
    ]
    kept = secure(web).shared.catalog.user("bob")
    assert kept is not None
    assert kept.password is not None
    for answer in answers:
        for text in (secret, "short", kept.password.derived, "derived", "salt"):
            assert text not in answer.body.decode().replace("shorter than", "")
    assert secret not in repr(kept)


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/users/bob", {}, 400, "No role is given"),
        ("/users/bob", {"password": "long enough"}, 400, "No role is given"),
        ("/users/bob", {"grants": [{"role": "king"}]}, 400, "No such role"),
        ("/users/bob", {"grants": GRANTS, "password": "1234567"}, 400, "8 characters"),
        ("/users/bob", {"grants": GRANTS, "password": ""}, 400, "8 characters"),
        ("/users/bob", {"grants": GRANTS, "password": "é" * 513}, 400, "1026 bytes"),
        ("/users/a%20b", {"grants": GRANTS}, 400, "no name"),
        ("/users/a%2", {"grants": GRANTS}, 400, "percent-encoded"),
        ("/users/", {"grants": GRANTS}, 400, "no name"),
        ("/users/bob?force=1", {"grants": GRANTS}, 400, "force"),
        ("/users/ann", {"grants": []}, 400, "No role is given"),
        ("/users/ann", {"grants": GRANTS, "exists": False}, 412, "already"),
        ("/users/bob", {"password": "long enough", "exists": True}, 404, "'bob'"),
        ("/users/ann", {"roles": ["reader"]}, 400, "Unknown field"),
    ],
)
async def test_a_user_that_cannot_be(
    web: Web, path: str, body: dict[str, Any], status: int, said: str
) -> None:
    assert said in await refused(web, status, "PUT", path, **body)


async def test_passwords_that_wait_are_bounded(web: Web) -> None:
    secure(web).passwords.error = Overloaded("too many passwords", retry_after=5)
    answer = await ask(web, "PUT", "/users/bob", grants=GRANTS, password="long enough")
    assert (answer.status, answer.fields["retry-after"]) == (503, "5")
    assert secure(web).shared.changed == []


async def test_who_is_not_there_cannot_be_removed(web: Web) -> None:
    assert "'bob'" in await refused(web, 404, "DELETE", "/users/bob")


# Roles


async def test_a_role_is_made_replaced_and_removed(web: Web) -> None:
    body = {"permissions": ["read", "list", "read"], "prefix": "a/"}
    made = told(await ask(web, "PUT", "/roles/browser", **body), 201)
    shown = {
        "name": "browser",
        "permissions": ["read", "list"],
        "built_in": False,
        "prefix": "a/",
    }
    assert made == {"role": shown} | REACH
    assert told(await ask(web, "PUT", "/roles/browser", permissions=["list"]))["role"] == {
        "name": "browser",
        "permissions": ["list"],
        "built_in": False,
    }
    assert told(await ask(web, "DELETE", "/roles/browser")) == REACH
    names = [one["name"] for one in told(await ask(web, "GET", "/roles"))["roles"]]
    assert names == ["reader", "writer", "monitor", "operator", "admin", "clerk"]


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/roles/x", {}, 400, "No JSON"),
        ("/roles/x", {"permissions": []}, 400, "no permissions"),
        (
            "/roles/x",
            {"permissions": ["read", "fly"]},
            400,
            "'fly'. The permissions are read, write",
        ),
        ("/roles/admin", {"permissions": ["read"]}, 400, "built in"),
        ("/roles/admin", {"permissions": ["read"], "exists": False}, 400, "built in"),
        ("/roles/x", {"permissions": ["status"], "prefix": "p"}, 400, "prefix"),
        ("/roles/x", {"permissions": ["read"], "namespace": "a b"}, 400, "'a b'"),
        ("/roles/clerk", {"permissions": ["read"], "exists": False}, 412, "already"),
        ("/roles/x", {"permissions": ["read"], "exists": True}, 404, "'x'"),
    ],
)
async def test_a_role_that_cannot_be(
    web: Web, path: str, body: dict[str, Any], status: int, said: str
) -> None:
    assert said in await refused(web, status, "PUT", path, **body)


async def test_a_role_that_somebody_has_or_that_is_built_in_stays(web: Web) -> None:
    assert "built in" in await refused(web, 400, "DELETE", "/roles/admin")
    assert "'x'" in await refused(web, 404, "DELETE", "/roles/x")
    await ask(web, "PUT", "/users/bob", grants=[{"role": "clerk"}])
    secure(web).shared.changed.clear()
    assert "The user 'bob' has the role" in await refused(web, 400, "DELETE", "/roles/clerk")


# The last administrator


async def test_the_last_administrator_stays(web: Web) -> None:
    said = await refused(web, 400, "DELETE", f"/tokens/{ADMIN_ID}")
    assert "last administrator" in said
    assert "kvorum token create NAME --role admin" in said
    told(await ask(web, "PUT", "/users/root", grants=[{"role": "admin"}]), 201)
    told(await ask(web, "DELETE", f"/tokens/{ADMIN_ID}"))
    secure(web).shared.changed.clear()
    assert "last" in await refused(web, 400, "PUT", "/users/root", grants=[{"role": "reader"}])
    assert "last" in await refused(web, 400, "DELETE", "/users/root")


@pytest.mark.parametrize("namespace", ["orders", None])
async def test_who_may_change_nothing_is_no_administrator(web: Web, namespace: str | None) -> None:
    if namespace is None:
        weak = Grant(role="admin", prefix="a/")
    else:
        weak = Grant(role="admin", namespace=namespace)
    shared = secure(web).shared
    # As another node may have it, whose version checks less.
    entry = SecurityEntry("user", "root", NOW_MS, 2, User(name="root", grants=(weak,)))
    shared.catalog, _ = shared.catalog.merged([entry])
    assert "last administrator" in await refused(web, 400, "DELETE", f"/tokens/{ADMIN_ID}")


# Certificates


async def test_a_certificate_is_revoked_once(web: Web) -> None:
    body = {"serial": "1a2b", "name": "n3", "until_ms": NOW_MS + 5}
    first = told(await ask(web, "POST", "/revocations", **body), 201)
    shown = {"serial": "1a2b", "name": "n3", "revoked_ms": NOW_MS, "until_ms": NOW_MS + 5}
    assert first == {"revocation": shown} | REACH
    secure(web).now_ms += 10
    again = told(await ask(web, "POST", "/revocations", serial="1a2b", name="n3"), 201)
    assert again["revocation"] == shown
    assert told(await ask(web, "GET", "/revocations")) == {"revocations": [shown]}


@pytest.mark.parametrize(
    ("serial", "name"),
    [
        ("", "n3"),
        ("0a", "n3"),
        ("1A", "n3"),
        ("1:2", "n3"),
        ("xyz", "n3"),
        ("1" * 41, "n3"),
        ("1a", ""),
        ("1a", "a b"),
    ],
)
async def test_a_certificate_that_cannot_be(web: Web, serial: str, name: str) -> None:
    await refused(web, 400, "POST", "/revocations", serial=serial, name=name)


# Whoever asks, and open clusters


async def test_whoever_asks_is_told_what_he_may_do(web: Web) -> None:
    assert told(await ask(web, "GET", "/whoami")) == {
        "name": "anonymous",
        "kind": "anonymous",
        "secure": True,
        "grants": [{"role": "reader", "namespace": "orders", "prefix": "2026/"}],
        "expires_ms": NOW_MS + 1000,
    }


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/tokens", {}),
        ("POST", "/tokens", {"name": "x", "grants": GRANTS}),
        ("DELETE", f"/tokens/{TOKEN_ID}", {}),
        ("GET", "/users", {}),
        ("PUT", "/users/ann", {"grants": GRANTS}),
        ("DELETE", "/users/ann", {}),
        ("GET", "/roles", {}),
        ("PUT", "/roles/x", {"permissions": ["read"]}),
        ("DELETE", "/roles/x", {}),
        ("GET", "/revocations", {}),
        ("POST", "/revocations", {"serial": "1", "name": "x"}),
    ],
)
async def test_a_cluster_that_authenticates_nobody_has_none_of_it(
    web: Web, method: str, path: str, body: dict[str, Any]
) -> None:
    web.security = None
    answer = await ask(web, method, path, **body)
    assert (answer.status, answer.json["code"]) == (409, "open_cluster")
    assert "--certs" in answer.json["detail"]
    whoami = told(await ask(web, "GET", "/whoami"))
    assert whoami == {"name": "anonymous", "kind": "anonymous", "secure": False, "grants": []}
