"""What tests in more than one room share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from kit.http_store import StoreDouble, store_double

from kvorum.client.environment import CONTEXT_VARIABLE, SERVER_VARIABLE, VARIABLES

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


@pytest.fixture(scope="session", autouse=True)
def no_clusters_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither contexts nor variables of whoever runs the tests say which cluster is asked."""
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("config"))
    for variable in (SERVER_VARIABLE, CONTEXT_VARIABLE, *VARIABLES.values()):
        os.environ.pop(variable, None)


@pytest.fixture
def store() -> Iterator[StoreDouble]:
    """A server that keeps its entries in a dict and fails as it is told."""
    with store_double() as double:
        yield double
