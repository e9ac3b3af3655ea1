from __future__ import annotations

from collections.abc import Iterator

import pytest

from ccgateway.client import Gateway, sending
from support.served import RELEASES, Between, Served, between, served, site_of


@pytest.fixture(scope="package")
def front() -> Iterator[Served]:
    """A gateway over four sites of four releases."""
    with served(*map(site_of, RELEASES)) as running:
        yield running


@pytest.fixture
def gateway(front: Served) -> Iterator[Gateway]:
    with Gateway(front.url) as client:
        yield client


@pytest.fixture
def proxy(front: Served) -> Iterator[Between]:
    """Something between the client and the gateway, which can spoil answers."""
    with between(front.url) as standing:
        yield standing


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent again is sent again soon."""
    monkeypatch.setattr(sending, "PAUSES", (0.01, 0.05))
