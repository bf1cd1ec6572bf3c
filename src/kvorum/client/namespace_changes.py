"""Changing a namespace on every node, one after another, so that all have the same in the end.

    1  all nodes are asked: they must be up; what they have of other namespaces does not matter
    2  all are asked whether they could do it: the settings, room in memory, room on the disk
    3  each is told in its turn; one that has it already is left as it is

So if a node fails in the middle, the same command ends what it began.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from kvorum.client import node_requests
from kvorum.client.each_node import Documents, EachNode
from kvorum.client.requests import Request
from kvorum.model.errors import (
    ConfigError,
    KvorumError,
    NamespaceNotFound,
    RequestError,
    UnavailableError,
    from_code,
)
from kvorum.model.topology_toml import namespace_settings

CLOCKS_APART_MS: Final = 10_000
"""Clocks of nodes that differ by more have to be set before anything is dropped."""

Settings = Mapping[str, Any]


async def create(nodes: EachNode, name: str, fields: Settings) -> Documents:
    """What `fields` leave out is as on the nodes that have it, else as usual. Raises RequestError
    if a node has one of that name with other settings, or has missed its drop."""
    found = await _namespaces_of(nodes)
    having = _having(found, name)
    _check_dropped(found, having, name)
    if having:
        _check_equal(having, fields, name, f"Set it alike with PUT /namespaces/{name} of each.")
    there = next(iter(having.values()), {})
    wanted = _usual(name, {**there, **fields}, len(found))
    for node, settings in having.items():
        if settings != wanted:
            raise RequestError(
                f"There is a namespace {name!r} with other settings on {node}. Change it with "
                "'kvorum namespace alter', or choose another name."
            )
    # Whoever dropped it last makes it first: if another one fails then, nobody that has it seems to
    # have missed a drop, and the same can be repeated.
    moments = _dropped_ms(found, name)
    last_first = sorted(found, key=moments.__getitem__, reverse=True)
    return await _put(nodes, {node: found[node] for node in last_first}, name, wanted)


async def alter(nodes: EachNode, name: str, fields: Settings) -> Documents:
    """Raises NamespaceNotFound if a node lacks it."""
    found = await _namespaces_of(nodes)
    having = _having(found, name)
    if len(having) < len(found):
        lacking = ", ".join(node for node in found if node not in having)
        raise NamespaceNotFound(
            f"There is no namespace {name!r} on {lacking}. 'kvorum namespace list' shows what each "
            "node has."
        )
    _check_equal(having, fields, name, "Set it, too.")
    return await _put(nodes, found, name, fields)


async def drop(nodes: EachNode, name: str) -> Documents:
    """Raises NamespaceNotFound if no node has it."""
    found = await _namespaces_of(nodes)
    having = _having(found, name)
    if not having:
        raise NamespaceNotFound(
            f"There is no namespace {name!r}. 'kvorum namespace list' shows those that there are."
        )
    before_ms = agreed_moment(found)
    request = node_requests.drop_namespace(name, before_ms)
    return await _one_by_one(
        nodes, dict.fromkeys(having, request), f"Namespace {name!r} was dropped"
    )


def agreed_moment(documents: Documents) -> int:
    """The latest `now_ms` of all nodes. Raises UnavailableError if their clocks differ by much."""
    clocks = [document["now_ms"] for document in documents.values()]
    if max(clocks) - min(clocks) > CLOCKS_APART_MS:
        raise UnavailableError(
            f"The clocks of the nodes are {max(clocks) - min(clocks)} ms apart, and what is "
            "written in that time would be lost. Set them, then try again."
        )
    return int(max(clocks))


def differences(documents: Documents) -> list[str]:
    """The names of the namespaces that some node lacks, or has with other settings."""
    names = {name for document in documents.values() for name in document["namespaces"]}
    return sorted(
        name
        for name in names
        if len({repr(document["namespaces"].get(name)) for document in documents.values()}) > 1
    )


async def _namespaces_of(nodes: EachNode) -> Documents:
    """What each has. Raises RequestError if not the nodes say what there is, but a file."""
    found = await nodes.ask(node_requests.namespaces())
    _check_own(found)
    return found


def _having(found: Documents, name: str) -> dict[str, Settings]:
    """The settings of the namespace by node, of those that have it."""
    return {
        node: document["namespaces"][name]
        for node, document in found.items()
        if name in document["namespaces"]
    }


def _check_own(found: Documents) -> None:
    for node, document in found.items():
        if document["source"] is not None:
            raise RequestError(
                f"The namespaces of {node} are those in the cluster file {document['source']}. "
                "Edit the file for every node, and send each node's process SIGHUP."
            )


def _check_dropped(found: Documents, having: dict[str, Settings], name: str) -> None:
    """Raises RequestError if a node has what another one has dropped, and may bring it back."""
    moments = _dropped_ms(found, name)
    last = max((moments[node] for node in found if node not in having), default=0)
    missed = [node for node in having if moments[node] < last]
    if missed:
        least = min(moments[node] for node in missed)
        gone = [node for node in found if node not in having and moments[node] > least]
        raise RequestError(
            f"Namespace {name!r} was dropped on {_and(gone)}, and not on {_and(missed)}. Run "
            f"'kvorum namespace drop {name}' to complete that, then create it."
        )


def _dropped_ms(found: Documents, name: str) -> dict[str, int]:
    """By node when it last dropped the namespace; 0 if it never did."""
    return {node: document.get("dropped", {}).get(name, 0) for node, document in found.items()}


def _and(names: list[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _check_equal(having: dict[str, Settings], fields: Settings, name: str, step: str) -> None:
    """Raises RequestError, with what to do next, if nodes differ in a setting not in `fields`."""
    first = next(iter(having.values()))
    for node, one in having.items():
        for field, value in one.items():
            if field not in fields and value != first.get(field):
                raise RequestError(
                    f"The nodes do not agree on {field!r} of namespace {name!r}: it is {value!r} "
                    f"on {node} and {first.get(field)!r} on {next(iter(having))}. {step}"
                )


def _usual(name: str, fields: Settings, nodes: int) -> dict[str, Any]:
    """All settings of a namespace of which `fields` are given."""
    try:
        return msgspec.structs.asdict(namespace_settings(fields, nodes))
    except ConfigError as error:
        raise RequestError(
            f"Namespace {name!r} cannot have these settings: {error.message}"
        ) from error


async def _put(nodes: EachNode, found: Documents, name: str, fields: Settings) -> Documents:
    versions = {node: document["version"] for node, document in found.items()}
    for node, version in versions.items():
        asked = node_requests.put_namespace(name, fields, version, check_only=True)
        await _at(nodes, node, asked)
    told = {
        node: node_requests.put_namespace(name, fields, version)
        for node, version in versions.items()
    }
    return await _one_by_one(nodes, told, f"Namespace {name!r} is as asked for")


async def _at(nodes: EachNode, node: str, request: Request) -> dict[str, Any]:
    """Raises the node's error, with its name."""
    try:
        return await nodes.ask_one(node, request)
    except KvorumError as error:
        raise _named(error, node) from error


def _named(error: KvorumError, node: str) -> KvorumError:
    return from_code(error.code, f"{node}: {error.message}", error.outcome, error.details)


async def _one_by_one(nodes: EachNode, told: dict[str, Request], done: str) -> Documents:
    answers: Documents = {}
    for node, request in told.items():
        try:
            answers[node] = await nodes.ask_one(node, request)
        except KvorumError as error:
            failure = _named(error, node)
            if answers or error.outcome != "none":
                failure = _half_done(done, list(answers), list(told), failure)
            raise failure from error
    return answers


def _half_done(done: str, on: list[str], of: list[str], error: KvorumError) -> UnavailableError:
    where = f"on {', '.join(on)} and not on" if on else "not on"
    left = ", ".join(node for node in of if node not in on)
    return UnavailableError(
        f"{done} {where} {left} ({error.message.rstrip('.')}).",
        outcome="unknown",
        next_step="repeat the same when 'kvorum status' shows all nodes up: it leaves those as "
        "they are that have it",
    )
