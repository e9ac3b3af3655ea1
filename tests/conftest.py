"""What holds for every test: its files are its own, and a test that failed while the machine stood still is run again."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from support.profiles import use_profile
from support.standstill import Watch

use_profile()

WATCH = pytest.StashKey[Watch]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[WATCH] = Watch()


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[WATCH].stop()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    again = pytest.mark.flaky(reruns=2, condition=config.stash[WATCH].stood_still)
    for item in items:
        item.add_marker(again)


def pytest_runtest_setup(item: pytest.Item) -> None:
    item.config.stash[WATCH].begin()


@pytest.fixture(autouse=True, scope="session")
def files_for_nobody_else() -> Iterator[None]:
    """A gateway that is to use the files of a test refuses those that others can read or write."""
    before = os.umask(0o077)
    yield
    os.umask(before)
