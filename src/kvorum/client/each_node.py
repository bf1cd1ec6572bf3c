"""Every node of a cluster, each asked by itself, for what concerns the nodes and no entry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, NoReturn

from kvorum.client.requests import Request
from kvorum.model.errors import KvorumError, RequestError, UnavailableError

Documents = dict[str, dict[str, Any]]
"""By node."""

Outcome = dict[str, Any] | KvorumError
"""What a node answers, or why it does not."""

Ask = Callable[[Request], Awaitable[dict[str, Any]]]


class EachNode:
    """The nodes of a cluster by name, with a way to ask each of them."""

    def __init__(self, ask_of: Mapping[str, Ask]) -> None:
        self._ask_of = ask_of

    @property
    def names(self) -> list[str]:
        return list(self._ask_of)

    async def ask(self, request: Request) -> Documents:
        """What each answers. Raises what all say, or UnavailableError if only some fail."""
        answers, failed = await self.ask_those_up(request)
        if failed:
            _raise_joint(failed, len(self._ask_of), changes=not request.safe)
        return answers

    async def ask_those_up(self, request: Request) -> tuple[Documents, dict[str, KvorumError]]:
        """The answers, and why the other nodes give none. Raises as `ask` if there is no answer."""
        outcomes = await outcomes_of(self.names, lambda node: self._ask_of[node](request))
        failed = failures(outcomes)
        if len(failed) == len(outcomes):
            _raise_joint(failed, len(outcomes), changes=not request.safe)
        answers = {node: one for node, one in outcomes.items() if not isinstance(one, KvorumError)}
        return answers, failed

    async def ask_one(self, node: str, request: Request) -> dict[str, Any]:
        """What the node of that name answers. Raises its error, RequestError if there is none."""
        ask = self._ask_of.get(node)
        if ask is None:
            names = ", ".join(self._ask_of)
            raise RequestError(f"No such node: {node!r}. The cluster has {names}.")
        return await ask(request)


async def outcomes_of(
    names: Iterable[str], act: Callable[[str], Awaitable[dict[str, Any]]]
) -> dict[str, Outcome]:
    """What came of `act` at each of the nodes, all at once."""

    async def outcome(node: str) -> Outcome:
        try:
            return await act(node)
        except KvorumError as error:
            return error

    nodes = list(names)
    return dict(zip(nodes, await asyncio.gather(*map(outcome, nodes)), strict=True))


def failures(outcomes: dict[str, Outcome]) -> dict[str, KvorumError]:
    """Those of `outcomes` that failed, by node."""
    return {node: one for node, one in outcomes.items() if isinstance(one, KvorumError)}


def reasons(failed: dict[str, KvorumError]) -> str:
    """Why each of the nodes failed, in one line."""
    return "; ".join(f"{node}: {error.message.removesuffix('.')}" for node, error in failed.items())


def _raise_joint(failed: dict[str, KvorumError], asked: int, *, changes: bool) -> NoReturn:
    errors = list(failed.values())
    if len(failed) == asked and len({error.message for error in errors}) == 1:
        raise errors[0]
    changed_nothing = len(failed) == asked and all(error.outcome == "none" for error in errors)
    raise UnavailableError(
        f"{len(failed)} of {asked} nodes failed: {reasons(failed)}. "
        "Repeat it when 'kvorum status' shows them up.",
        outcome="unknown" if changes and not changed_nothing else "none",
    )
