"""What is shown of a record never depends on what was shown before."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kvorum.api import presentation
from kvorum.api.presentation import Presenter
from kvorum.model.record import (
    BINARY,
    EMPTY,
    JSON,
    TYPED,
    Event,
    Record,
    delete,
    expire,
    merge,
    write,
)
from kvorum.model.typed_value import join_type
from kvorum.service.version_string import VersionStrings, subject_of

SECRET = bytes(32)
SUBJECTS = [subject_of("default", key) for key in ("a", "b")]

steps = st.lists(
    st.tuples(
        st.integers(0, len(SUBJECTS) - 1),
        st.integers(1, 2),
        st.sampled_from(["write", "blind", "delete", "merge", "expire"]),
    ),
    min_size=20,
    max_size=40,
)


def presenter() -> Presenter:
    return Presenter(VersionStrings(SECRET), lambda actor: f"n{actor}")


class Copies:
    """Of each key, what two replicas have."""

    def __init__(self) -> None:
        self._records = {(s, actor): EMPTY for s in range(len(SUBJECTS)) for actor in (1, 2)}
        self._counter = 0

    def after(self, subject: int, actor: int, what: str) -> Record:
        record = self._records[subject, actor]
        self._counter += 1
        dot = Event(actor, self._counter, 1000 + self._counter)
        match what:
            case "write" | "blind":
                seen = record.context if what == "write" else ()
                kind = (JSON, BINARY, TYPED)[self._counter % 3]
                value = b'"%d"' % self._counter
                stored = join_type("text/plain", value) if kind == TYPED else value
                expires = self._counter % 3 * 5000
                record = write(record, seen, dot, kind, stored, expires)
            case "delete":
                record = delete(record, record.context, dot)
            case "merge":
                record = merge(record, self._records[subject, 3 - actor])
            case "expire":
                record = expire(record, 6000)
        self._records[subject, actor] = record
        return record


@given(steps)
@settings(max_examples=80)
def test_a_record_is_shown_as_one_that_was_never_shown_is(
    steps: list[tuple[int, int, str]],
) -> None:
    copies, shown = Copies(), presenter()
    for subject, actor, what in steps:
        record = copies.after(subject, actor, what)
        for hinted in (0, 1) if record.versions else ():
            found = shown.found(b"{", SUBJECTS[subject], record, hinted)
            assert found == presenter().found(b"{", SUBJECTS[subject], record, hinted)
            assert (b'"strict":false' in found[1]) == (hinted > 0)
            assert shown.version(SUBJECTS[subject], record) == found[0]
            described = shown.described(b"{", SUBJECTS[subject], record, hinted)
            assert described == presenter().described(b"{", SUBJECTS[subject], record, hinted)
            assert b'"value":' not in described


def test_what_is_kept_of_the_records_shown_is_bounded() -> None:
    shown = presenter()
    for number in range(presentation.KNOWN_MAX + 100):
        record = write(EMPTY, (), Event(1, number + 1, 1000), JSON, b"1")
        shown.found(b"{", subject_of("default", str(number)), record)
    assert shown.known == presentation.KNOWN_MAX
