"""What programs read by the client, at four releases, is what the sites have."""

from __future__ import annotations

import json

import pytest

from ccgateway.client import Gateway, GatewayError, Incomplete, NotFound
from support.served import RELEASES, Between, Served, cut, passed, status


def ids_at(front: Served) -> set[str]:
    return {f"{name}:{job.id}" for name, one in front.sites.items() for job in one.site.backend.jobs}


def test_every_job_of_every_site_comes_once_newest_first(front: Served, gateway: Gateway) -> None:
    jobs = list(gateway.jobs(page_size=17))
    assert len(jobs) == len({job.id for job in jobs}) == 240 and {job.id for job in jobs} == ids_at(front)
    assert [job.start_time for job in jobs] == sorted((job.start_time for job in jobs), reverse=True)


def test_a_list_is_read_no_further_than_it_is_wanted(proxy: Between) -> None:
    with Gateway(proxy.url) as gateway:
        jobs = gateway.jobs(page_size=10)
        first = next(iter(jobs))
        assert len(proxy.requests) == 1
        assert next(iter(gateway.jobs(limit=3))).id == first.id and len(proxy.requests) == 2


def test_a_limit_is_a_limit_and_the_cursor_goes_on_behind_it(gateway: Gateway) -> None:
    first = gateway.jobs(limit=25, page_size=10)
    ids = [job.id for job in first]
    assert len(ids) == 25 and list(gateway.jobs(limit=0)) == []
    rest = [job.id for job in gateway.jobs(after=first.cursor)]
    assert ids + rest == [job.id for job in gateway.jobs()]


def test_filters_mean_what_the_gateway_means(gateway: Gateway) -> None:
    jobs = list(gateway.jobs())
    found = list(gateway.jobs(user=["alice", "bob"], nodes="2..4", duration="30m..", state="completed", site=["aurora", "draco"]))
    wanted = [
        job
        for job in jobs
        if job.user in ("alice", "bob") and 2 <= job.num_nodes <= 4 and job.duration >= 1800
        and job.state == "completed" and job.site in ("aurora", "draco")
    ]  # fmt: skip
    assert [job.id for job in found] == [job.id for job in wanted] and found
    newest, oldest = jobs[0].start_time, jobs[-1].start_time
    between = list(gateway.jobs(since=oldest, until=jobs[100].start_time))
    assert [job.id for job in between] == [job.id for job in jobs if job.start_time <= jobs[100].start_time]
    assert list(gateway.jobs(since=newest.timestamp() + 1)) == []


def test_what_costs_more_comes_if_it_is_asked_for(gateway: Gateway) -> None:
    (plain,) = gateway.jobs(limit=1, state="completed")
    (whole,) = gateway.jobs(limit=1, state="completed", include=["resources", "footprint", "meta_data"])
    assert plain.resources is None and plain.footprint is None and plain.name is None and plain.hosts == ()
    assert len(whole.hosts) == whole.num_nodes and whole.name and whole.footprint
    one = gateway.job(plain)
    assert one.hosts == whole.hosts and one.name == whole.name and one.key == plain.key


def test_a_count_is_exact(gateway: Gateway) -> None:
    assert gateway.count() == 240 and gateway.count(site="draco") == 60
    assert gateway.count(user="alice") == len(list(gateway.jobs(user="alice"))) > 0


def test_metrics_are_series_of_numbers_with_gaps_for_what_is_missing(front: Served, gateway: Gateway) -> None:
    for site in RELEASES:
        job = next(iter(gateway.jobs(site=site, state="completed")))
        found = gateway.metrics(job, ["mem_bw", "cpu_load"], scopes=["node"])
        found = [one for one in found if one.scope == "node"]  # a site gives the scopes that it keeps
        assert [one.name for one in found] == ["mem_bw", "cpu_load"]
        assert str(found[0].unit) == "GB/s" and found[0].timestep > 0
        for series in found[0].series:
            assert series.data and all(value is None or isinstance(value, float) for value in series.data)
            assert series.statistics is not None and series.statistics.min <= series.statistics.avg <= series.statistics.max
        assert {series.hostname for series in found[0].series} == set(gateway.job(job).hosts)


def test_what_metrics_come_to_is_there_for_every_job_at_once(gateway: Gateway) -> None:
    found = gateway.job_statistics(["flops_any"], state="completed", site=["aurora", "draco"])
    jobs = {job.job_id: job for job in gateway.jobs(state="completed", site=["aurora", "draco"])}
    assert len(found) > 40 and {int(one.job_id) for one in found} <= set(jobs)
    for one in found:
        flops = one.metrics["flops_any"]
        assert flops.min <= flops.avg <= flops.max
    assert gateway.job(found[0].id).job_id == int(found[0].job_id)


def test_figures_add_up(gateway: Gateway) -> None:
    (whole,) = gateway.statistics()
    by_user = gateway.statistics("user")
    assert whole.total_jobs == 240 and sum(one.total_jobs or 0 for one in by_user) == 240
    assert whole.complete and {one.quality for one in whole.exactness} <= {"EXACT", "BOUNDED", "REFUSED"}
    assert {one.id for one in by_user} == {job.user for job in gateway.jobs()}


def test_sites_say_how_they_are(front: Served, gateway: Gateway) -> None:
    assert [(one.name, one.release, one.reachable) for one in gateway.sites()] == [(*pair, True) for pair in RELEASES.items()]
    with front.down("cygnus"):
        (down,) = [one for one in gateway.sites() if not one.reachable]
        assert down.name == "cygnus" and down.last_error is not None and down.last_error.code == "UNREACHABLE"


# --- what is missing


def test_a_site_that_is_down_is_an_error_unless_parts_are_allowed(front: Served, gateway: Gateway) -> None:
    with front.down("cygnus"):
        for question in (lambda: list(gateway.jobs()), lambda: gateway.count(), lambda: gateway.statistics("user")):
            with pytest.raises(Incomplete) as refused:
                question()
            assert [(one.site, one.code) for one in refused.value.missing] == [("cygnus", "UNREACHABLE")]
            assert refused.value.code == "INCOMPLETE" and "cygnus" in str(refused.value)
        jobs = gateway.jobs(partial=True)
        assert len(list(jobs)) == 180 and [one.site for one in jobs.missing] == ["cygnus"]
        assert sum(one.total_jobs or 0 for one in gateway.statistics("site", partial=True)) == 180
        assert not gateway.statistics(partial=True)[0].complete
        assert len(list(gateway.jobs(site="aurora"))) == 60


def test_a_list_that_broke_off_goes_on_where_it_was(front: Served, gateway: Gateway) -> None:
    read = []
    with pytest.raises(Incomplete) as refused:
        for job in gateway.jobs(page_size=20):
            read.append(job.id)
            if len(read) == 20:
                front.run(front.sites["draco"].stop())
    front.up("draco")
    rest = [job.id for job in gateway.jobs(after=refused.value.after)]
    assert read + rest == [job.id for job in gateway.jobs()]


def test_every_site_down_is_no_empty_list(front: Served, gateway: Gateway) -> None:
    with front.down("aurora"), pytest.raises(Incomplete) as refused:
        list(gateway.jobs(site="aurora", partial=True))
    assert refused.value.code == "ALL_SITES_FAILED"


def test_what_is_not_there_is_not_found(gateway: Gateway) -> None:
    for question in (
        lambda: gateway.job("aurora:999999"), lambda: list(gateway.jobs(site="nowhere")), lambda: gateway.count(tag="no:such"),
    ):  # fmt: skip
        with pytest.raises(NotFound):
            question()


# --- sent again


def test_a_read_is_sent_again_when_its_answer_breaks_or_a_proxy_is_busy(proxy: Between) -> None:
    with Gateway(proxy.url) as gateway:
        proxy.fates[:] = [cut(), cut(40), status(502), status(503, Retry_After="0")]
        assert gateway.count() == 240 and len(proxy.requests) == 5


def test_every_job_comes_once_though_every_page_breaks_twice(proxy: Between) -> None:
    with Gateway(proxy.url) as gateway:
        wanted = [job.id for job in gateway.jobs()]
        for _ in range(6):
            proxy.fates += [cut(100), cut(), passed]
        assert [job.id for job in gateway.jobs(page_size=40)] == wanted


def test_the_gateway_is_waited_for_as_long_as_it_says_but_not_for_ever(proxy: Between) -> None:
    limited = json.dumps({"errors": [{"message": "later", "extensions": {"code": "RATE_LIMITED", "retryable": True}}]}).encode()
    with Gateway(proxy.url) as gateway:
        proxy.fates[:] = [status(429, limited, Retry_After="1")]
        assert gateway.count() == 240
        proxy.fates[:] = [status(429, limited, Retry_After="3600")]
        with pytest.raises(GatewayError) as refused:
            gateway.count()
        assert (refused.value.code, refused.value.retry_after) == ("RATE_LIMITED", 3600) and not proxy.fates


def test_it_is_not_sent_again_for_ever(proxy: Between) -> None:
    with Gateway(proxy.url, retries=2) as gateway:
        proxy.fates[:] = [status(502)] * 10
        with pytest.raises(GatewayError) as refused:
            gateway.count()
    assert refused.value.code == "UNREACHABLE" and refused.value.site is None and len(proxy.requests) == 3


def test_what_is_no_gateway_is_said_to_be_none(proxy: Between) -> None:
    with Gateway(proxy.url) as gateway:
        for fate, hint in ((status(200), "Is the address the gateway's?"), (status(302, Location="https://x"), "redirects to")):
            proxy.fates[:] = [fate]
            with pytest.raises(GatewayError, match="BAD_ANSWER") as refused:
                gateway.count()
            assert hint in refused.value.message
    with Gateway("http://127.0.0.1:1", retries=0) as nobody, pytest.raises(GatewayError, match="No connection to the gateway"):
        nobody.count()


def test_the_token_is_sent_to_the_gateway_and_shown_to_nobody(proxy: Between) -> None:
    token = "ccg_" + "s3cret" * 6
    with Gateway(proxy.url, token=token) as gateway:
        proxy.fates[:] = [status(401, b"no")]
        with pytest.raises(GatewayError) as refused:
            gateway.count()
        assert proxy.headers[0]["Authorization"] == f"Bearer {token}"
        assert token not in "".join(map(repr, (gateway, gateway.connection, refused.value, gateway.jobs())))


@pytest.mark.parametrize("url", ["gateway", "ftp://gateway", "http://", "http://user:pass@gateway", "http://gateway/?a=b"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="has the form https://"):
        Gateway(url)
