"""Modules are small, classes say what they are, and no class is named by half of its room."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path
from typing import Final

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "kvorum"
SMALL: Final = 5
"""In a room with fewer modules, half of them are too few to say anything."""


def rooms() -> list[Path]:
    folders = {path.parent for path in SOURCE.rglob("*.py")} - {SOURCE}
    return sorted(room for room in folders if len(modules(room)) >= SMALL)


def modules(room: Path) -> list[Path]:
    return [path for path in sorted(room.glob("*.py")) if path.name != "__init__.py"]


def classes(tree: ast.Module) -> set[str]:
    """Those that a module defines, but for exceptions and messages, which are its vocabulary."""
    return {node.name for node in tree.body if isinstance(node, ast.ClassDef)}


def imported(tree: ast.Module) -> set[tuple[str, str]]:
    """(module, name) of all that a module imports by name."""
    return {
        (node.module or "", alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_no_module_has_400_lines() -> None:
    sizes = {path: len(path.read_text().splitlines()) for path in SOURCE.rglob("*.py")}
    assert [f"{path}: {size}" for path, size in sizes.items() if size >= 400] == []


def test_every_public_class_says_what_it_is() -> None:
    silent = [
        f"{path.relative_to(SOURCE)}: {node.name}"
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
    ]
    assert silent == []


@pytest.mark.parametrize("room", rooms(), ids=lambda room: str(room.relative_to(SOURCE)))
def test_no_class_is_named_by_more_than_half_of_its_room(room: Path) -> None:
    trees = {path: ast.parse(path.read_text()) for path in modules(room)}
    where = {
        (".".join(("kvorum", *path.relative_to(SOURCE).with_suffix("").parts)), name): name
        for path, tree in trees.items()
        for name in classes(tree)
    }
    naming: dict[str, list[str]] = defaultdict(list)
    for path, tree in trees.items():
        for source in imported(tree) & where.keys():
            naming[where[source]].append(path.stem)
    for name, by in naming.items():
        assert 2 * (1 + len(by)) <= len(trees) + 1, f"{name} is named by {sorted(by)}"
