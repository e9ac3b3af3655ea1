"""Orders by the client: one outcome each, sent again only where that does no harm."""

from __future__ import annotations

import json
import time

import pytest

from ccgateway.client import Gateway, GatewayError, Tag
from support.served import RELEASES, Between, cut, passed, status


def key_in(body: bytes) -> str:
    found: str = json.loads(body)["variables"]["idempotencyKey"]
    return found


@pytest.mark.parametrize("site", RELEASES)
def test_tags_are_put_found_and_taken_at_every_release(gateway: Gateway, site: str) -> None:
    jobs = list(gateway.jobs(site=site, limit=3))
    done = gateway.tag(jobs, f"review:{site}")
    assert [(one.outcome, one.id, one.is_good) for one in done] == [("DONE", job.id, True) for job in jobs]
    assert [one.outcome for one in gateway.tag(jobs, f"review:{site}")] == ["UNCHANGED"] * 3
    assert [job.id for job in gateway.jobs(tag=f"review:{site}")] == [job.id for job in jobs]
    assert str(next(iter(gateway.jobs(tag=Tag(type="review", name=site)))).tags[0]) == f"review:{site}"
    assert gateway.untag(jobs[0], [f"review:{site}"])[0].is_good
    assert gateway.count(tag=f"review:{site}") == 2


def test_one_that_fails_does_not_take_the_others_with_it(gateway: Gateway) -> None:
    job = next(iter(gateway.jobs(site="aurora")))
    good, bad = gateway.tag([job.id, "aurora:999999"], "review:mixed")
    assert good.outcome == "DONE" and (bad.outcome, bad.code, bad.is_good) == ("FAILED", "NOT_FOUND", False)


def test_hundreds_of_orders_go_in_several_calls_each_with_its_key(proxy: Between) -> None:
    with Gateway(proxy.url) as gateway:
        ids = [job.id for job in gateway.jobs()]
        proxy.requests.clear()
        done = gateway.tag(ids, "review:all")
        keys = [key_in(body) for _, _, body in proxy.requests]
    assert [one.id for one in done] == ids and all(one.is_good for one in done)
    assert len(set(keys)) == len(keys) == 3


def test_metadata_are_edited(gateway: Gateway) -> None:
    job = next(iter(gateway.jobs(site="aurora", state="completed")))
    (done,) = gateway.edit({job: {"note": "slow disk"}})
    assert done.outcome == "DONE" and (gateway.job(job).meta_data or {})["note"] == "slow disk"


def test_a_job_starts_stops_and_is_deleted(gateway: Gateway) -> None:
    now = int(time.time())
    (started,) = gateway.start(
        {
            "jobId": 7_000_001, "user": "alice", "project": "p_a", "cluster": "borealis", "startTime": now - 60,
            "resources": [{"hostname": "bn001"}],
        }
    )  # fmt: skip
    assert started.outcome == "DONE" and started.id is not None
    assert gateway.job(started.id).state == "running"
    (stopped,) = gateway.stop(started.id, stop_time=now)
    assert stopped.outcome == "DONE"
    ended = gateway.job(started.id)
    assert (ended.state, ended.duration) == ("completed", 60)
    assert gateway.delete(ended, dry_run=True)[0].outcome == "UNCHANGED" and gateway.job(ended).state == "completed"
    assert gateway.delete(ended)[0].outcome == "DONE"
    with pytest.raises(GatewayError, match="NOT_FOUND"):
        gateway.job(started.id)


def test_a_job_that_is_another_one_by_now_is_not_deleted(gateway: Gateway) -> None:
    import msgspec

    job = next(iter(gateway.jobs(site="aurora", state="completed")))
    other = msgspec.structs.replace(job, job_id=job.job_id + 7_000_000)
    assert gateway.delete(other)[0].outcome == "FAILED"
    assert gateway.job(job).job_id == job.job_id


def test_an_order_whose_answer_was_lost_is_sent_again_with_its_key_and_done_once(proxy: Between) -> None:
    with Gateway(proxy.url) as gateway:
        job = next(iter(gateway.jobs(site="aurora", state="completed")))
        proxy.requests.clear()
        proxy.fates[:] = [cut()]
        (done,) = gateway.tag(job, "review:lost")
    first, second = [key_in(body) for _, _, body in proxy.requests]
    assert first == second and done.outcome == "DONE"  # as recorded: nothing was done anew


def test_a_delete_whose_answer_was_lost_is_not_sent_again_and_says_with_which_key_it_may_be(proxy: Between) -> None:
    with Gateway(proxy.url) as gateway:
        *_, job = gateway.jobs(site="aurora", state="completed")
        proxy.requests.clear()
        proxy.fates[:] = [cut()]
        with pytest.raises(GatewayError, match="CONNECTION_LOST") as lost:
            gateway.delete(job)
        assert len(proxy.requests) == 1 and lost.value.idempotency_key == key_in(proxy.requests[0][2])
        assert gateway.delete(job, idempotency_key=lost.value.idempotency_key)[0].outcome == "DONE"


def test_outcomes_before_a_refusal_are_not_lost(proxy: Between) -> None:
    refusal = json.dumps({"errors": [{"message": "no", "extensions": {"code": "FORBIDDEN"}}]}).encode()
    with Gateway(proxy.url) as gateway:
        ids = [job.id for job in gateway.jobs(limit=150)]
        proxy.fates[:] = [passed, status(403, refusal)]
        with pytest.raises(GatewayError) as refused:
            gateway.tag(ids, "review:half")
    assert len(refused.value.outcomes) == 100 and refused.value.code == "FORBIDDEN"
