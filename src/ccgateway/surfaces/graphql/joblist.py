"""``JobResultList``: one page of the merged list of jobs, how complete it is, and where the next one starts."""

from __future__ import annotations

import strawberry

from ccgateway.federation import questions
from ccgateway.jobs.model import JobRow
from ccgateway.surfaces.graphql.fields import computed, remembered
from ccgateway.surfaces.graphql.jobs import Job
from ccgateway.surfaces.graphql.sites import SiteReport

__all__ = ["JobResultList", "PageInfo"]

Page = strawberry.Parent[questions.JobListAnswer]
#: the largest number that GraphQL's Int can tell
LARGEST_INT = 2**31 - 1


@strawberry.type(description="Where a page ends.")
class PageInfo:
    end_cursor: str | None = strawberry.field(
        description="Give it as `after` to read on, with the same filter, order and sites; null if there is nothing here and "
        "nothing to read on. Whether there is more, `hasNextPage` tells."
    )
    has_next_page: bool = strawberry.field(description="Whether there is more.")


def _items(page: Page) -> list[JobRow]:
    return page.rows


def _offset(page: Page) -> int | None:
    return None if page.offset is None or page.offset > LARGEST_INT else page.offset


def _page_info(page: Page) -> questions.JobListAnswer:
    return page


def _sites(page: Page) -> list[questions.SiteReport]:
    return page.reports


@strawberry.type(description="One page of the jobs of all sites asked, in one exact order.")
class JobResultList:
    items: list[Job] = remembered(_items, description="The jobs.")
    offset: int | None = computed(
        _offset, description="How many jobs come before this page; null when paging by cursor, and beyond 32 bits."
    )
    limit: int | None = strawberry.field(description="How many jobs the page was to have; null when paging by cursor.")
    count: int | None = strawberry.field(
        description="How many jobs match at all sites; null where that cannot be had exactly, with the reason in the site's "
        "report. Counted only if selected."
    )
    has_next_page: bool | None = strawberry.field(description="Whether there is more after this page.")
    page_info: PageInfo = computed(_page_info, description="Where this page ends and how to read on.")
    complete: bool = strawberry.field(description="Whether nothing that matches is missing from this page, and no site is.")
    sites: list[SiteReport] = computed(_sites, description="One report per site asked.")
