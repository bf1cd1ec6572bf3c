"""The page on connecting names every option with its default, and its examples work."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from kit.certificates import TestAuthority

from kvorum.client.environment import CONTEXT_VARIABLE, SERVER_VARIABLE, VARIABLES, target_of
from kvorum.client.options import DEFAULTS
from kvorum.client.retryable_writes import TRACE_S
from kvorum.client.security import Security
from kvorum.client.url import DEFAULT_SERVER, parse_url

PAGE = (Path(__file__).parents[2] / "docs" / "connecting.md").read_text()


def test_the_table_has_every_option_with_its_default() -> None:
    part = PAGE.split("\n## Options\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", part, re.MULTILINE)
    secure = [field.name for field in fields(Security)]
    usual_ones = [field.name for field in fields(DEFAULTS) if field.name not in secure]
    assert [name for name, _ in rows] == usual_ones
    for name, shown in rows:
        usual = getattr(DEFAULTS, name)
        says = "cluster's" in shown or shown == "as the namespace says"
        assert says if usual is None else shown == str(usual).lower()


def test_the_table_of_tls_has_every_option() -> None:
    part = PAGE.split("\n## TLS and credentials\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| `", part, re.MULTILINE)
    assert rows == [field.name for field in fields(Security)]


def test_every_variable_of_clients_is_named() -> None:
    part = PAGE.split("\n## Environment variables\n")[1].split("\n## ")[0]
    for variable in (SERVER_VARIABLE, CONTEXT_VARIABLE, *VARIABLES.values()):
        assert f"`{variable}`" in part


def test_the_example_of_contexts_is_such_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "kvorum").mkdir()
    example = PAGE.split("```toml\n")[1].split("```")[0]
    (tmp_path / "kvorum" / "contexts.toml").write_text(example)
    target = target_of(None, {})
    assert (target.namespace, target.ca) == ("orders", tmp_path / "kvorum" / "ca.crt")


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    TestAuthority(tmp_path)
    (tmp_path / "shop.token").write_text("kvt_x")
    names: dict[str, object] = {}
    for example in re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE):
        exec(compile(example, "connecting.md", "exec"), names)


def test_what_it_says_of_places_and_figures() -> None:
    assert DEFAULT_SERVER in PAGE
    assert SERVER_VARIABLE in PAGE
    assert f"within {TRACE_S:.0f} seconds" in PAGE
    for text in re.findall(r'connect\("([^"]+)"', PAGE):
        parse_url(text)
