"""Every route passes the door: with an action, before it touches the node."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.auditors import ListeningAuditor
from kit.node import FakeNode
from kit.security import TOKEN_ID
from kit.web import Response, Web, routes_of

from kvorum.model.audit_level import AuditLevel
from kvorum.service.access import OPEN, SamePolicy
from kvorum.service.action import Action
from kvorum.service.principal import ANONYMOUS, Principal
from kvorum.service.rights import FOR_ANYBODY, FOR_AUTHENTICATED, PERMISSION_OF

RECORD = b'{"records":[{"key":"k","record":"gqb6yhXmzfeSkZMHAc0D6JGUkwcBzQPoAcQDIngiBQ=="}]}'

ACTIONS: dict[tuple[str, str], Action] = {
    ("GET", "/entry"): Action.READ,
    ("POST", "/entry"): Action.WRITE,
    ("PUT", "/entry"): Action.WRITE,
    ("PATCH", "/entry"): Action.WRITE,
    ("DELETE", "/entry"): Action.DELETE,
    ("GET", "/entry/{key}"): Action.READ,
    ("PUT", "/entry/{key}"): Action.WRITE,
    ("PATCH", "/entry/{key}"): Action.WRITE,
    ("DELETE", "/entry/{key}"): Action.DELETE,
    ("GET", "/entries"): Action.SCAN,
    ("GET", "/entries/count"): Action.SCAN,
    ("POST", "/entries"): Action.WRITE,
    ("DELETE", "/entries"): Action.DELETE,
    ("POST", "/entries/get"): Action.READ,
    ("POST", "/entries/delete"): Action.DELETE,
    ("POST", "/entries/touch"): Action.WRITE,
    ("GET", "/records"): Action.EXPORT_RECORDS,
    ("POST", "/records"): Action.IMPORT_RECORDS,
    ("GET", "/locate"): Action.LOCATE,
    ("GET", "/locate/{key}"): Action.LOCATE,
    ("GET", "/status"): Action.SEE_STATUS,
    ("GET", "/metrics"): Action.SEE_METRICS,
    ("GET", "/health"): Action.SEE_HEALTH,
    ("GET", "/ready"): Action.SEE_HEALTH,
    ("GET", "/ring"): Action.SEE_RING,
    ("POST", "/clock/accept"): Action.ACCEPT_CLOCK,
    ("GET", "/repair"): Action.SEE_REPAIRS,
    ("POST", "/repair"): Action.REPAIR,
    ("GET", "/repair/{id}"): Action.SEE_REPAIRS,
    ("GET", "/snapshots"): Action.SEE_SNAPSHOTS,
    ("POST", "/snapshots"): Action.CREATE_SNAPSHOT,
    ("GET", "/snapshots/{name}"): Action.SEE_SNAPSHOTS,
    ("POST", "/snapshots/{name}"): Action.VERIFY_SNAPSHOT,
    ("DELETE", "/snapshots/{name}"): Action.DELETE_SNAPSHOT,
    ("GET", "/keys"): Action.SEE_KEYS,
    ("POST", "/keys/rotate"): Action.ROTATE_KEYS,
    ("GET", "/namespaces"): Action.SEE_NAMESPACES,
    ("GET", "/namespaces/{name}"): Action.SEE_NAMESPACES,
    ("PUT", "/namespaces/{name}"): Action.SET_NAMESPACE,
    ("DELETE", "/namespaces/{name}"): Action.DROP_NAMESPACE,
    ("GET", "/namespaces/shred"): Action.SEE_NAMESPACES,
    ("PUT", "/namespaces/shred"): Action.SET_NAMESPACE,
    ("DELETE", "/namespaces/shred"): Action.DROP_NAMESPACE,
    ("POST", "/namespaces/shred"): Action.SHRED_NAMESPACE,
    ("GET", "/scrub"): Action.SEE_SCRUB,
    ("POST", "/scrub"): Action.SCRUB,
    ("GET", "/whoami"): Action.SEE_SELF,
    ("GET", "/tokens"): Action.SEE_SECURITY,
    ("POST", "/tokens"): Action.CHANGE_SECURITY,
    ("DELETE", "/tokens/{id}"): Action.CHANGE_SECURITY,
    ("GET", "/users"): Action.SEE_SECURITY,
    ("PUT", "/users/{name}"): Action.CHANGE_SECURITY,
    ("DELETE", "/users/{name}"): Action.CHANGE_SECURITY,
    ("GET", "/roles"): Action.SEE_SECURITY,
    ("PUT", "/roles/{name}"): Action.CHANGE_SECURITY,
    ("DELETE", "/roles/{name}"): Action.CHANGE_SECURITY,
    ("GET", "/revocations"): Action.SEE_SECURITY,
    ("POST", "/revocations"): Action.CHANGE_SECURITY,
}
"""What each route does; a GET and its HEAD are one route."""

TARGETS = {
    "/entry": "/entry?key=k",
    "/entry/{key}": "/entry/k",
    "/locate": "/locate?key=k",
    "/locate/{key}": "/locate/k",
    "/namespaces/{name}": "/namespaces/orders",
    "/repair/{id}": "/repair/a1",
    "/snapshots/{name}": "/snapshots/s",
    "/tokens/{id}": f"/tokens/{TOKEN_ID}",
    "/users/{name}": "/users/ann",
    "/roles/{name}": "/roles/clerk",
}
BODIES = {
    ("POST", "/entry"): b'{"value":1}',
    ("PUT", "/entry"): b"1",
    ("PUT", "/entry/{key}"): b"1",
    ("PATCH", "/entry"): b'{"metadata":{"ttl":60}}',
    ("PATCH", "/entry/{key}"): b'{"metadata":{"ttl":60}}',
    ("POST", "/entries"): b'{"entries":[{"key":"k","value":1}]}',
    ("DELETE", "/entries"): b'{"keys":["k"]}',
    ("POST", "/entries/delete"): b'{"keys":["k"]}',
    ("POST", "/entries/touch"): b'{"keys":["k"],"metadata":{"ttl":60}}',
    ("POST", "/entries/get"): b'{"keys":["k"]}',
    ("POST", "/records"): RECORD,
    ("POST", "/repair"): b'{"namespace":"default","key":"k"}',
    ("POST", "/keys/rotate"): b'{"namespace":"default"}',
    ("POST", "/namespaces/shred"): b'{"namespace":"default"}',
    ("POST", "/tokens"): b'{"name":"till","grants":[{"role":"reader"}]}',
    ("PUT", "/users/{name}"): b'{"password":"long enough"}',
    ("PUT", "/roles/{name}"): b'{"permissions":["list"]}',
    ("POST", "/revocations"): b'{"serial":"a1","name":"ann"}',
}
OF_A_KEY = {
    Action.READ,
    Action.WRITE,
    Action.DELETE,
    Action.LOCATE,
    Action.IMPORT_RECORDS,
    Action.REPAIR,
}
OF_A_PREFIX = {Action.SCAN, Action.EXPORT_RECORDS}
OF_A_NAMESPACE = OF_A_KEY | {
    Action.SCAN,
    Action.EXPORT_RECORDS,
    Action.ROTATE_KEYS,
    Action.SHRED_NAMESPACE,
}
OF_SECURITY = {Action.SEE_SELF, Action.SEE_SECURITY, Action.CHANGE_SECURITY}
OF_NAMED = {"/namespaces/{name}": "orders", "/namespaces/shred": "shred"}
"""The namespace that a path names."""
ALSO = {"/entries": {Action.READ}}
"""What is needed beside, to see the values of what is listed."""
LISTS = {"/entries", "/entries/get", "/entries/delete", "/entries/touch", "/records"}
"""Where the items of a POST or DELETE succeed or fail each by itself."""


class Noting:
    """A policy that notes what it is asked, and allows `actions`."""

    def __init__(self, *actions: Action) -> None:
        self._policy = SamePolicy(actions)
        self.asked: list[tuple[Principal, Action, str | None, str | None]] = []

    def allows(
        self, principal: Principal, action: Action, namespace: str | None, key: str | None, /
    ) -> bool:
        self.asked.append((principal, action, namespace, key))
        return self._policy.allows(principal, action, namespace, key)


def routes() -> Iterator[tuple[str, str]]:
    for path, methods in routes_of(FakeNode()).served.items():
        for method in methods:
            yield method, path


ROUTES = list(routes())


async def ask(web: Web, method: str, path: str) -> Response:
    action_of = ("GET", path) if method == "HEAD" else (method, path)
    target = TARGETS.get(path, path) + ("/verify" if action_of == VERIFY else "")
    return await web.ask(method, target, BODIES.get((method, path)))


VERIFY = ("POST", "/snapshots/{name}")


def action_of(method: str, path: str) -> Action:
    return ACTIONS["GET" if method == "HEAD" else method, path]


def refusals(answer: Response, method: str, path: str) -> list[str]:
    """The codes of what was refused."""
    if method in ("POST", "DELETE") and path in LISTS:
        [items] = answer.json.values()
        return [item["error"]["code"] for item in items if "error" in item]
    if method == "HEAD":
        return [] if answer.status < 400 else ["access_denied" if answer.status == 403 else "?"]
    return [] if answer.status < 400 else [answer.json["code"]]


def test_every_route_has_its_action_here() -> None:
    assert {("GET" if method == "HEAD" else method, path) for method, path in ROUTES} == set(
        ACTIONS
    )


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_what_is_not_allowed_does_not_reach_the_node(
    web: Web, method: str, path: str
) -> None:
    policy = Noting(*set(Action) - {action_of(method, path)})
    await web.start(policy=policy)
    web.node.repair = {"id": "a1"}
    answer = await ask(web, method, path)
    assert refusals(answer, method, path) == ["access_denied"]
    [(principal, action, namespace, key)] = policy.asked
    assert (principal, action) == (ANONYMOUS, action_of(method, path))
    expected = "default" if action in OF_A_NAMESPACE else OF_NAMED.get(path)
    assert namespace == expected
    assert key == ("k" if action in OF_A_KEY else "" if action in OF_A_PREFIX else None)
    assert not web.node.requests
    assert not web.node.ingested
    assert not web.key_admin.asked
    assert not web.snapshots.asked
    assert not web.namespaces.asked
    assert web.security is not None
    assert not web.security.shared.changed
    assert not web.security.passwords.kept
    assert web.node.repair == {"id": "a1"}


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_what_is_allowed_reaches_it(web: Web, method: str, path: str) -> None:
    await web.put("k", b"1")
    await web.server.close()
    await web.start(policy=Noting(action_of(method, path), *ALSO.get(path, ())))
    web.namespaces.at_once = True
    web.node.repair = {"id": "a1"}
    answer = await ask(web, method, path)
    assert refusals(answer, method, path) == []


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_what_is_done_is_told_to_the_auditor(web: Web, method: str, path: str) -> None:
    await web.put("k", b"1")
    await web.server.close()
    auditor = ListeningAuditor(AuditLevel.ALL)
    await web.start(auditor=auditor)
    web.namespaces.at_once = True
    web.node.repair = {"id": "a1"}
    answer = await ask(web, method, path)
    assert refusals(answer, method, path) == []
    [told] = auditor.told
    assert (told.name, told.action, told.outcome) == ("anonymous", action_of(method, path), "ok")
    action = action_of(method, path)
    assert told.namespace == ("default" if action in OF_A_NAMESPACE else OF_NAMED.get(path))
    if action in OF_A_KEY:
        assert told.key == "k"


@pytest.mark.parametrize("level", [AuditLevel.ADMIN, AuditLevel.ALL])
@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_what_is_refused_is_told_to_the_auditor(
    web: Web, method: str, path: str, level: AuditLevel
) -> None:
    auditor, action = ListeningAuditor(level), action_of(method, path)
    await web.start(policy=SamePolicy(set(Action) - {action}), auditor=auditor)
    await ask(web, method, path)
    [told] = auditor.told
    assert (told.name, told.action, told.outcome) == ("anonymous", action, "access_denied")


def test_an_open_node_allows_all_that_there_is() -> None:
    assert all(OPEN.allows(ANONYMOUS, action, "default", "k") for action in Action)
    assert set(ACTIONS.values()) == set(Action)


def test_each_action_needs_a_permission_or_is_for_everybody() -> None:
    classes = [*PERMISSION_OF, *FOR_AUTHENTICATED, *FOR_ANYBODY]
    assert sorted(classes) == sorted(Action)


async def test_whoever_is_refused_is_told_what_is_missing(web: Web) -> None:
    await web.start(policy=SamePolicy(()))
    answer = await web.ask("GET", "/entry/k?namespace=orders")
    assert answer.status == 403
    assert (
        answer.json["detail"]
        == "anonymous has no permission 'read' for the key 'k' in the namespace 'orders'."
    )
    members = ("action", "permission", "namespace", "key")
    assert [answer.json[name] for name in members] == ["read", "read", "orders", "k"]
    assert answer.json["outcome"] == "none"


GUIDE = Path(__file__).parents[2] / "docs" / "http-api.md"


def test_the_guide_lists_every_route_with_its_permission() -> None:
    rows = re.findall(r"^\| `([A-Z]+) (/\S*)` \| `([a-z_]+)` \|$", GUIDE.read_text(), re.M)
    assert {(method, path): action for method, path, action in rows} == {
        route: action.value for route, action in ACTIONS.items()
    }
