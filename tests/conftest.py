"""What tests in more than one room share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from kit.http_store import StoreDouble, store_double

# No test here may fail because the machine is busy.
ANY_SPEED = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("any speed", ANY_SPEED)
# For a long hunt: pytest --hypothesis-profile=thorough
settings.register_profile("thorough", ANY_SPEED, max_examples=2000)
settings.load_profile("any speed")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever needs real processes under faults is slow."""
    for item in items:
        if item.get_closest_marker("chaos"):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def store() -> Iterator[StoreDouble]:
    """A server that keeps its entries in a dict and fails as it is told."""
    with store_double() as double:
        yield double
