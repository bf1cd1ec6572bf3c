"""Settings that could not work are refused by name."""

from __future__ import annotations

import math

import pytest

from kvorum.cluster.settings import MembershipSettings
from kvorum.model.errors import ConfigError


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("interval_s", 0),
        ("interval_s", math.nan),
        ("fanout", 0),
        ("phi_threshold", 0),
        ("window", 1),
        ("helpers", -1),
        ("seed_chance", 1.5),
        ("flap_hold_max_s", 1e9),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"membership: {field}: .* is not between"):
        MembershipSettings(**{field: value})  # type: ignore[arg-type]
