"""What the pages name exists: pages and headings that they link to, modules that they mention."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
SOURCE: Final = ROOT / "src" / "kvorum"
PAGES: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
DESCRIBING: Final = [page for page in PAGES if page.name != "CHANGELOG.md"]
"""The changelog may name what was there once."""

FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
MODULE = re.compile(r"(?<![\w./-])((?:\w+/)+\w+\.py)\b")
FLOORS = re.compile(r"^\| room \|.*?\n\n", re.DOTALL | re.MULTILINE)
METHOD = re.compile(r"`([A-Z]\w+)\.(\w+)`")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@cache
def anchors(page: Path) -> frozenset[str]:
    """The fragments under which GitHub shows the headings of a page."""
    headings = HEADING.findall(FENCED.sub("", page.read_text()))
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return frozenset(heading.replace(" ", "-") for heading in kept)


def broken(page: Path) -> Iterator[str]:
    for target in LINK.findall(FENCED.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        if not linked.exists() or (fragment and fragment not in anchors(linked)):
            yield target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_pages_and_headings(page: Path) -> None:
    assert list(broken(page)) == []


@pytest.mark.parametrize("page", DESCRIBING, ids=name_of)
def test_modules_exist(page: Path) -> None:
    named = sorted(set(MODULE.findall(page.read_text())))
    assert [path for path in named if not any((at / path).is_file() for at in (ROOT, SOURCE))] == []


@cache
def functions() -> dict[str, frozenset[str]]:
    """The names that each class of the source defines."""
    return {
        node.name: frozenset(part.name for part in node.body if isinstance(part, ast.FunctionDef))
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    }


def test_methods_in_the_architecture_exist() -> None:
    named = METHOD.findall((ROOT / "ARCHITECTURE.md").read_text())
    assert named
    assert [pair for pair in named if pair[1] not in functions().get(pair[0], ())] == []


def test_the_architecture_has_a_row_for_each_room() -> None:
    table = FLOORS.search((ROOT / "ARCHITECTURE.md").read_text())
    assert table
    cells = [row.split("|")[1] for row in table[0].splitlines()[2:] if row]
    named = {name for cell in cells for name in re.findall(r"`([\w.]+)/?`", cell)}
    assert {name for name in named if not (SOURCE / name).exists()} == set()
    assert {path.parent.name for path in SOURCE.glob("*/__init__.py")} - named == set()
