"""Jobs by tag, and tags: also where a site is down, or cannot tell what tags it has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ccgateway.client import Gateway, Incomplete, NotFound
from ccgateway.simulator import GeneratedJobs, SimulatedSite
from support.served import UNTIL, Served, served, site_of

#: what is told from other tags only where ids are written rightly
ODD = ("a/b", "c:d é%2F")


@pytest.fixture(scope="module")
def front() -> Iterator[Served]:
    """Two sites, one of which does as the how-to page says, and lists no tags."""
    howto = SimulatedSite("eridanus", "howto", GeneratedJobs(60, "eridanus", seed=8, until=UNTIL, span=4 * 86400))
    sites = site_of("borealis"), howto
    for site in sites:
        for kind, name in (("only", "b"), ODD):
            site.add_tag(20, kind, name)
    sites[0].add_tag(21, "only", "borealis")
    with served(*sites) as running:
        yield running


@pytest.fixture
def gateway(front: Served) -> Iterator[Gateway]:
    with Gateway(front.url, retries=0) as client:
        yield client


def test_a_tag_is_found_at_a_site_that_lists_none(gateway: Gateway) -> None:
    for tag in ("only:b", ":".join(ODD), "only:b@global"):
        assert sorted(job.site for job in gateway.jobs(tag=tag)) == ["borealis", "eridanus"], tag
        assert gateway.count(tag=tag) == 2
    assert [one.total_jobs for one in gateway.statistics(tag="only:b")] == [2]


def test_a_site_that_lists_no_tags_is_missing_among_them_or_passed_over(gateway: Gateway) -> None:
    with pytest.raises(Incomplete) as refused:
        gateway.tags()
    assert [gap.site for gap in refused.value.missing] == ["eridanus"]
    assert {str(tag) for tag in gateway.tags(partial=True)} >= {"only:b", "only:borealis"}


def test_a_tag_is_not_denied_while_the_site_that_has_it_is_down(front: Served, gateway: Gateway) -> None:
    with front.down("borealis"):
        listed = gateway.jobs(tag="only:borealis", partial=True)
        assert list(listed) == [] and [gap.site for gap in listed.missing] == ["borealis"]
        with pytest.raises(Incomplete):
            list(gateway.jobs(tag="only:borealis"))


def test_a_tag_that_nobody_has_is_denied_where_all_sites_say_so(gateway: Gateway) -> None:
    with pytest.raises(NotFound, match="no:such"):
        gateway.count(tag="no:such", site="borealis")
    assert gateway.count(tag="no:such") == 0
