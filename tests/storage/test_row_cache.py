"""The row cache: what was put last or nothing, within its bound, the used kept longest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kvorum.storage.row_cache import ROW_OVERHEAD_BYTES, RowCache

keys = st.sampled_from([b"%d" % i for i in range(8)])
operations = st.lists(
    st.tuples(keys, st.none() | st.binary(max_size=300) | st.just("get")), max_size=80
)


@given(operations, st.integers(0, 2000))
def test_it_agrees_with_a_list_of_recent_uses(
    history: list[tuple[bytes, bytes | str | None]], bytes_max: int
) -> None:
    cache = RowCache(bytes_max)
    recent: list[tuple[bytes, bytes]] = []  # the dumb cache: latest use last
    for key, step in history:
        held = dict(recent).get(key)
        if step == "get":
            assert cache.get(key) == held
            if held is not None:
                recent.remove((key, held))
                recent.append((key, held))
            continue
        recent = [row for row in recent if row[0] != key]
        if isinstance(step, bytes):
            cache.put(key, step)
            recent.append((key, step))
            while sum(len(k) + len(v) + ROW_OVERHEAD_BYTES for k, v in recent) > bytes_max:
                recent.pop(0)
        else:
            cache.drop(key)
    for key, value in recent:
        assert cache.get(key) == value
