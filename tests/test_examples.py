"""The example applications run as they are, each against a store of its own, and print this."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"

PRINTED = {
    "sessions.py": [
        "cart: ['book']",
        "sessions of ada: 2",
        "signed out: 2",
        "still there: None",
        "all sessions: 1",
    ],
    "job_results.py": [
        "computed: 5",
        "computed: 2",
        "results: {'1': '1', '2': '3/2', '3': '11/6', '4': '25/12', '5': '137/60', "
        "'6': '49/20', '7': '363/140'}",
        "taken: 11/6",
        "left: 6",
    ],
    "inventory.py": [
        "books: 7",
        "versions: 2",
        "books: 4",
        "versions: 1",
        "books: 5",
        "short of: ['pen']",
    ],
}


@pytest.mark.parametrize("name", PRINTED)
def test_an_example_prints_what_it_should(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", [name, str(tmp_path / "store")])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert capsys.readouterr().out.splitlines() == PRINTED[name]


def test_every_example_is_run() -> None:
    assert sorted(path.name for path in EXAMPLES.glob("*.py")) == sorted(PRINTED)
