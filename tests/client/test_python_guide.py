"""The examples of the guide to the Python client work as they stand there, in their order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from kit.http_store import StoreDouble

GUIDE = Path(__file__).parents[2] / "docs" / "python.md"


def test_every_example_runs(
    store: StoreDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = GUIDE.read_text()
    for address in ("127.0.0.1:7400", "127.0.0.1:7401"):
        text = text.replace(address, store.address)
    examples = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert examples
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, str(GUIDE), "exec"), names)
