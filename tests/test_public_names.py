"""What `import kvorum` offers: every public name is there, documented, and shows itself in repr."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from kit.http_store import StoreDouble

import kvorum
import kvorum.aio
from kvorum.client.listing import Page
from kvorum.errors import NotFound, TimeoutExpired

MODULES: list[ModuleType] = [kvorum, kvorum.aio, kvorum.errors]


def public_things() -> Iterator[tuple[str, Any]]:
    for module in MODULES:
        for name in module.__all__:
            if not name.startswith("_"):
                yield f"{module.__name__}.{name}", getattr(module, name)
    yield "Page", Page


def members_of(kind: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties that kvorum itself defines, inherited ones included."""
    for base in kind.__mro__:
        if base.__module__.startswith("kvorum"):
            for name, member in vars(base).items():
                is_code = callable(member) or isinstance(
                    member, property | cached_property | classmethod | staticmethod
                )
                if not name.startswith("_") and is_code:
                    yield name, member


def test_every_public_function_class_method_and_property_is_documented() -> None:
    bare = []
    for name, thing in public_things():
        if not inspect.getdoc(thing):
            bare.append(name)
        if isinstance(thing, type):
            bare += [f"{name}.{n}" for n, member in members_of(thing) if not inspect.getdoc(member)]
    assert bare == []


def test_the_walk_finds_methods_of_both_faces() -> None:
    assert {"get", "set", "scan", "close"} <= {name for name, _ in members_of(kvorum.Client)}
    assert {"get", "set", "scan", "close"} <= {name for name, _ in members_of(kvorum.AsyncClient)}
    assert {"value"} <= {name for name, _ in members_of(kvorum.Entry)}


@pytest.mark.parametrize("module", MODULES)
def test_all_names_exist_once_and_dir_shows_them(module: ModuleType) -> None:
    assert len(set(module.__all__)) == len(module.__all__)
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        assert getattr(module, name) is not None


def test_a_star_import_of_the_errors_gives_the_errors() -> None:
    names: dict[str, Any] = {}
    exec("from kvorum.errors import *", names)
    assert names["NotFound"] is NotFound
    assert importlib.import_module("kvorum.errors") is kvorum.errors


def test_importing_kvorum_loads_no_client() -> None:
    code = "import sys, kvorum; print([m for m in sys.modules if m.startswith('kvorum.')])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_an_entry_shows_what_says_something_and_shortens_the_rest() -> None:
    assert repr(kvorum.Entry("k", b"1")) == "Entry(key='k', json=b'1')"
    long = kvorum.Entry("k", b"1" * 5000, version="v" * 200, created=True)
    assert "<5000 bytes>" in repr(long)
    assert "<200 characters>" in repr(long)
    assert "created=True" in repr(long)
    assert len(repr(long)) < 400
    sibling = kvorum.Sibling(b"1" * 5000)
    assert len(repr(sibling)) < 200
    both = kvorum.Entry("k", b"1", siblings=(sibling, sibling))
    assert "siblings=<2 items>" in repr(both)


def test_a_page_shows_how_much_it_holds() -> None:
    page = Page([kvorum.Entry("k", b"1")] * 500, "c", [], [])
    assert repr(page) == "<Page of 500 entries, cursor='c'>"


def test_a_client_shows_where_it_asks_and_how(store: StoreDouble) -> None:
    client = kvorum.connect(store.address, timeout=5, namespace="shop", retry_unknown=True)
    url = f"kvorum://{store.address}?namespace=shop&timeout=5.0&retry_unknown=true"
    assert repr(client) == f"<Client of {url}>"
    client.close()
    assert repr(client) == f"<Client of {url}, closed>"
    assert repr(kvorum.aio.connect("a,[::1]")) == "<AsyncClient of kvorum://a:7400,[::1]:7400>"
    with kvorum.connect(url) as again:
        assert repr(again) == f"<Client of {url}>"


def test_an_embedded_store_shows_its_directory_and_no_key(tmp_path: Path) -> None:
    with kvorum.open(tmp_path / "data") as store:
        assert repr(store) == f"<Embedded store in '{tmp_path / 'data'}'>"
    assert repr(store) == f"<Embedded store in '{tmp_path / 'data'}', closed>"


def test_an_error_shows_its_code_and_outcome() -> None:
    late = TimeoutExpired("Too late.", outcome="unknown")
    assert repr(late) == "TimeoutExpired('Too late.', code='timeout', outcome='unknown')"
    assert str(late) == "Too late."
