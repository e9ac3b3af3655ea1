"""All configured sites: none of them has to be there."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, RequestError, SettingsError, SiteError
from ccgateway.identity.principal import Principal
from ccgateway.settings import SiteSettings
from ccgateway.site.registry import Registry

CALLER = Principal("anybody")

ANYBODY = Principal("anybody")


def site(name: str, number: int, **changes: object) -> SiteSettings:
    return SiteSettings.model_validate({"name": name, "number": number, "url": "http://127.0.0.1:9", "token": "t", **changes})


@pytest.fixture
def registry() -> Registry:
    return Registry([site("c", 3), site("a", 2), site("b", 1)])


def test_sites_come_by_number(registry: Registry) -> None:
    assert [one.name for one in registry] == ["b", "a", "c"]
    assert len(registry) == 3


@pytest.mark.parametrize(
    ("names", "chosen"),
    [(None, ["b", "a", "c"]), ([], []), (["c"], ["c"]), (["c", "b"], ["b", "c"]), (["a", "a"], ["a"])],
)
def test_sites_are_chosen_by_name(registry: Registry, names: list[str] | None, chosen: list[str]) -> None:
    assert [one.name for one in registry.chosen(names, CALLER)] == chosen


def test_a_site_that_is_not_configured_is_an_error_that_names_those_that_are(registry: Registry) -> None:
    with pytest.raises(RequestError, match="b, a, c") as refused:
        registry.chosen(["a", "nowhere"], CALLER)
    assert refused.value.code is Code.UNKNOWN_SITE
    with pytest.raises(RequestError, match="none are configured"):
        Registry([]).one("x")


async def test_a_site_that_is_down_is_no_obstacle_to_starting(registry: Registry) -> None:
    instance = registry.one("a")
    with pytest.raises(SiteError) as failed:
        await instance.greet(await instance.context(ANYBODY, Deadline.after(2.0)))
    assert failed.value.code is Code.UNREACHABLE
    await registry.aclose()
    await registry.aclose()


def test_a_token_that_cannot_be_read_is_an_obstacle(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"sites\.a\.token_file"):
        Registry([site("a", 1, token=None, token_file=tmp_path / "nowhere")])


async def test_a_site_without_a_token_is_kept_and_cannot_be_visited() -> None:
    [instance] = Registry([site("a", 1, token=None)])
    with pytest.raises(SiteError) as refused:
        await instance.context(ANYBODY, Deadline.after(1.0))
    assert refused.value.code is Code.NO_CREDENTIAL
