"""Calls that are sent again with their key: told is what became of that job, and nothing of another that has its number now."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from acceptance.conftest import NOW, Front, gateway, site

TAG = [{"type": "review", "name": "again", "scope": "global"}]
RESULT = "outcome key { jobId } job { jobId tags { type } }"


def started(number: int) -> dict[str, Any]:
    return {
        "jobId": number, "user": "alice", "project": "p_a", "cluster": "borealis", "subCluster": "main", "partition": "main",
        "startTime": int(NOW) - 600, "numNodes": 1, "resources": [{"hostname": "b0001"}], "walltime": 3600, "shared": "none",
    }  # fmt: skip


async def sent(front: Front, method: str, path: str, body: object = None, key: str = "") -> Any:
    url, headers = front.url.removesuffix("/graphql") + path, {"Idempotency-Key": key} if key else {}
    async with front.session.request(method, url, json=body, headers=headers, timeout=aiohttp.ClientTimeout(30)) as answer:
        assert answer.status in (200, 201), await answer.text()
        return await answer.json()


@pytest.mark.parametrize("release", ["1.2", "1.3", "1.4"])
async def test_the_job_that_has_the_number_now_is_not_told_as_the_one_that_was_meant(release: str) -> None:
    async with gateway(site("borealis", release, count=20)) as front:
        number = (await sent(front, "POST", "/api/jobs/start_job/", started(8001)))["id"]
        which = f'jobs: [{{id: "borealis:{number // 1000}"}}], tags: [{{type: "review", name: "again"}}], idempotencyKey: "g"'
        text = f"mutation {{ tagJobs({which}) {{ {RESULT} }} }}"
        (tagged,) = (await front.ask(text))["data"]["tagJobs"]
        assert tagged["job"]["jobId"] == 8001 and tagged["job"]["tags"]
        await sent(front, "POST", f"/api/jobs/tag_job/{number}", TAG, key="r")
        await sent(front, "DELETE", f"/api/jobs/delete_job/{number}")
        assert (await sent(front, "POST", "/api/jobs/start_job/", started(8002)))["id"] == number
        (again,) = (await front.ask(text))["data"]["tagJobs"]
        assert again["key"]["jobId"] == 8001 and again["job"] is None
        replayed = await sent(front, "POST", f"/api/jobs/tag_job/{number}", TAG, key="r")
        assert "8002" not in str(replayed)


async def test_an_empty_key_is_none() -> None:
    async with gateway(site("aurora", "1.4", count=20)) as front:
        headers = {"Idempotency-Key": ""}
        tag = 'mutation { tagJobs(jobs: [{id: "aurora:1"}], tags: [{type: "a", name: "b"}]) { outcome job { tags { type } } } }'
        untag = tag.replace("tagJobs", "untagJobs")
        for text, tags in ((tag, [{"type": "a"}]), (untag, []), (tag, [{"type": "a"}]), (untag, [])):
            async with front.session.post(front.url, json={"query": text}, headers=headers) as answer:
                ((found,),) = (await answer.json())["data"].values()
            assert found["outcome"] == "DONE"
            assert [one for one in found["job"]["tags"] if one["type"] == "a"] == tags
