from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from kvorum.client.backoff import Backoff


@given(st.integers())
def test_pauses_stay_below_a_bound_that_doubles_up_to_the_cap(seed: int) -> None:
    pauses = list(Backoff(first_s=0.1, cap_s=0.5, pauses=5).draw(random.Random(seed)))
    assert all(0 <= p <= bound for p, bound in zip(pauses, [0.1, 0.2, 0.4, 0.5, 0.5], strict=True))


def test_two_clients_do_not_wait_in_step() -> None:
    backoff = Backoff()
    assert list(backoff.draw(random.Random(1))) != list(backoff.draw(random.Random(2)))
