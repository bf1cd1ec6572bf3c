"""GET /health and GET /ready: 200 where all is well, else 503 with the reasons."""

from __future__ import annotations

import pytest
from kit.web import Web


@pytest.mark.parametrize(("path", "member"), [("/health", "healthy"), ("/ready", "ready")])
def test_a_node_says_how_it_is_and_why(web: Web, path: str, member: str) -> None:
    async def ask() -> None:
        await web.start()
        well = await web.ask("GET", path)
        assert (well.status, well.json) == (200, {member: True, "reasons": []})
        web.node.unwell = ["The disk is full."]
        unwell = await web.ask("GET", path)
        assert (unwell.status, unwell.json) == (
            503,
            {member: False, "reasons": ["The disk is full."]},
        )
        assert (await web.ask("HEAD", path)).status == 503
        assert (await web.ask("GET", f"{path}?x=1")).status == 400
        assert (await web.ask("POST", path, b"{}")).status == 405

    web.run(ask())
