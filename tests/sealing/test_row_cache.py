"""The row cache: what was put last or nothing, within its bound, fairly shared."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.keys import storage_key
from kvorum.sealing.row_cache import ROW_OVERHEAD_BYTES, RowCache
from kvorum.storage.eviction import CacheStatus


def key_of(name: str, namespace: str = "default") -> bytes:
    return storage_key(bytes(16), namespace, name.encode())


keys = st.sampled_from([key_of(str(number)) for number in range(8)])
operations = st.lists(
    st.tuples(keys, st.none() | st.binary(max_size=300) | st.just("get")), max_size=80
)


@given(operations, st.integers(0, 2000))
def test_it_agrees_with_a_list_of_recent_uses(
    history: list[tuple[bytes, bytes | str | None]], bytes_max: int
) -> None:
    cache = RowCache(bytes_max, {"default": "lru"})
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
            if len(key) + len(step) + ROW_OVERHEAD_BYTES <= bytes_max:
                recent.append((key, step))
            while sum(len(k) + len(v) + ROW_OVERHEAD_BYTES for k, v in recent) > bytes_max:
                recent.pop(0)
        else:
            cache.drop(key)
    for key, value in recent:
        assert cache.get(key) == value


SIZE = len(key_of("0", "idle")) + 100 + ROW_OVERHEAD_BYTES


def test_a_busy_namespace_takes_what_others_leave_and_no_more() -> None:
    cache = RowCache(100 * SIZE, {"idle": "lru", "busy": "lfu"})
    for number in range(30):
        cache.put(key_of(str(number % 10), "idle") + b"%d" % (number // 10), bytes(99))
    for number in range(1000):
        cache.put(key_of(f"{number:04}", "busy"), bytes(97))
    status = cache.status()
    assert status["idle"].entries == 30
    assert status["busy"].entries == 70


def test_the_namespace_that_holds_most_gives_way() -> None:
    cache = RowCache(100 * SIZE, {"first": "lru", "later": "tinylfu"})
    for number in range(200):
        cache.put(key_of(f"{number:03}", "first"), bytes(98))
    for number in range(200):
        cache.put(key_of(f"{number:03}", "later"), bytes(98))
    status = cache.status()
    assert abs(status["first"].bytes - status["later"].bytes) <= 2 * SIZE


def test_it_counts_hits_and_misses_of_each_namespace() -> None:
    cache = RowCache(100 * SIZE, {"a": "lru", "b": "lru"})
    cache.put(key_of("x", "a"), b"v")
    for name in ("x", "x", "y", "x"):
        cache.get(key_of(name, "a"))
    status = cache.status()
    assert (status["a"].hits, status["a"].misses) == (3, 1)
    assert status["b"] == CacheStatus(0, 0, 0, 0, 0)


def test_an_lfu_lets_newcomers_in() -> None:
    cache = RowCache(10 * SIZE, {"a": "lfu"})
    for number in range(10):
        key = key_of(str(number), "a")
        cache.put(key, bytes(90))
        cache.get(key)
    cache.put(key_of("new", "a"), bytes(90))
    assert cache.get(key_of("new", "a")) == bytes(90)


def test_records_of_no_known_namespace_are_not_kept() -> None:
    cache = RowCache(100 * SIZE, {"a": "lru", "b": "lru"})
    cache.put(key_of("x", "gone"), b"v")
    cache.drop(key_of("x", "gone"))
    assert cache.get(key_of("x", "gone")) is None


def test_after_clear_it_is_empty_and_works() -> None:
    cache = RowCache(100 * SIZE, {"a": "tinylfu"})
    cache.put(key_of("x", "a"), b"v")
    cache.clear()
    assert cache.get(key_of("x", "a")) is None
    assert cache.status()["a"].bytes == 0
    cache.put(key_of("x", "a"), b"w")
    assert cache.get(key_of("x", "a")) == b"w"
