"""What every live test needs: the farms, what they list themselves, and the gateway in front of them in both of its faces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from live.enrich import enriched
from live.faces import Http, InProcess, gateway_over, served
from live.farm import FARM, SCRATCH, Farm
from live.truth import Job, truth_of
from live.worlds import World


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "live" in item.path.parts:
            item.add_marker(pytest.mark.live)


def _farm(variable: str, what: str) -> Farm:
    found = Farm.named_by(variable)
    if found is None:
        pytest.skip(f"{variable} is not set: it names the farm.json of {what} (tests/live/README.md)")
    return found


@pytest.fixture(scope="session")
def farm() -> Farm:
    """Instances that are only read."""
    return _farm(FARM, "real cc-backend instances")


@pytest.fixture(scope="session")
def scratch() -> Iterator[Farm]:
    """Instances whose data may be altered, holding jobs of every kind; what was added is removed at the end."""
    found = _farm(SCRATCH, "real cc-backend instances that tests may alter")
    with enriched(found):
        yield found


@pytest.fixture(scope="session")
def farm_jobs(farm: Farm) -> list[Job]:
    """What the read-only instances list themselves."""
    return truth_of(farm)


@pytest.fixture(scope="session")
def farm_url(farm: Farm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The gateway in front of them, served by a process of its own."""
    with served(farm.settings(), tmp_path_factory.mktemp("farm")) as url:
        yield url


@pytest.fixture(scope="session")
def scratch_url(scratch: Farm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Likewise in front of those that are altered."""
    with served(scratch.settings(), tmp_path_factory.mktemp("scratch")) as url:
        yield url


@pytest.fixture
def farm_http(farm_url: str) -> Iterator[Http]:
    """A connection to it."""
    client = Http(farm_url)
    yield client
    client.close()


@pytest_asyncio.fixture(params=["in process", "over HTTP"])
async def world(request: pytest.FixtureRequest, farm: Farm, farm_jobs: list[Job]) -> AsyncIterator[World]:
    """The read-only farm."""
    if request.param == "over HTTP":
        client = Http(request.getfixturevalue("farm_url"))
        yield World(farm, farm_jobs, client)
        client.close()
        return
    async with gateway_over(farm.settings()) as gateway:
        yield World(farm, farm_jobs, InProcess(gateway))


@pytest_asyncio.fixture(params=["in process", "over HTTP"])
async def varied_world(request: pytest.FixtureRequest, scratch: Farm) -> AsyncIterator[World]:
    """The farm that is altered, as it is now: fewer jobs, but of every kind."""
    if request.param == "over HTTP":
        client = Http(request.getfixturevalue("scratch_url"))
        yield World(scratch, truth_of(scratch), client)
        client.close()
        return
    async with gateway_over(scratch.settings()) as gateway:
        yield World(scratch, truth_of(scratch), InProcess(gateway))
