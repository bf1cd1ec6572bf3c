"""The page on connecting names every option with its default, and its examples work."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from kvorum.client.environment import SERVER_VARIABLE
from kvorum.client.options import DEFAULTS
from kvorum.client.retryable_writes import TRACE_S
from kvorum.client.url import DEFAULT_SERVER, parse_url

PAGE = (Path(__file__).parents[2] / "docs" / "connecting.md").read_text()


def test_the_table_has_every_option_with_its_default() -> None:
    part = PAGE.split("\n## Options\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", part, re.MULTILINE)
    assert [name for name, _ in rows] == [field.name for field in fields(DEFAULTS)]
    for name, shown in rows:
        usual = getattr(DEFAULTS, name)
        says = "cluster's" in shown or shown == "as the namespace says"
        assert says if usual is None else shown == str(usual).lower()


def test_the_examples_run() -> None:
    names: dict[str, object] = {}
    for example in re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE):
        exec(compile(example, "connecting.md", "exec"), names)


def test_what_it_says_of_places_and_figures() -> None:
    assert DEFAULT_SERVER in PAGE
    assert SERVER_VARIABLE in PAGE
    assert f"within {TRACE_S:.0f} seconds" in PAGE
    for text in re.findall(r'connect\("([^"]+)"', PAGE):
        parse_url(text)
