"""States of nodes by REST on real sockets: which site gets them, how their bodies are read, and what is said when that fails."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from acceptance.people import WatchedSite, gateway_for, job
from acceptance.recorded import serving
from acceptance.sending import BASES, sent, states, told_again
from acceptance.test_rest_sites import RELEASES, front, make_site, settings_of
from ccgateway.identity.callers import hash_of
from ccgateway.simulator import SimulatedSite, serve
from ccgateway.simulator.faults import WriteFault
from ccgateway.simulator.messages import Request


def heard(site: SimulatedSite) -> list[Any]:
    """What the site was told of nodes."""
    return [msgspec.json.decode(one.detail) for one in site.backend.changes.effects if one.what == "nodes"]


def times_heard(site: SimulatedSite) -> int:
    return [one.what for one in site.backend.changes.effects].count("nodes")


@BASES
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_states_of_nodes_go_to_the_site_that_has_the_cluster(base: str, method: str) -> None:
    aurora, borealis = make_site("aurora"), make_site("borealis")
    body = states("aurora", "an001", "an002")
    async with front(aurora, borealis) as (client, _):
        answer = await client.request(method, f"{base}/nodestate/", json=body)
        none = await client.request(method, f"{base}/nodestate/?site=aurora", json=states("aurora"))
    assert (answer.status_code, answer.content) == (none.status_code, none.content) == (200, b"")
    assert heard(aurora) == [body, states("aurora")] and heard(borealis) == []


@BASES
@pytest.mark.parametrize("name", ["borealis", "cygnus", "draco"])
async def test_a_release_that_takes_no_states_of_nodes_is_named(base: str, name: str) -> None:
    async with front(make_site("aurora"), make_site(name)) as (client, _):
        answer = await client.post(f"{base}/nodestate/", json=states(name, "n001"))
    assert told_again(501, "UNSUPPORTED", answer, base)
    assert f"Release {RELEASES[name]}, which site {name} runs, cannot take states of nodes" in answer.json()["error"]


@BASES
async def test_a_cluster_that_no_site_or_several_have_is_refused_as_for_a_started_job(base: str) -> None:
    twins = [SimulatedSite(name, "1.5", [job(1, "alice", "twin")]) for name in ("aurora", "borealis")]
    node = {"hostname": "n1"}
    started_job = {"jobId": 7, "user": "u", "project": "p", "startTime": 1_760_000_000, "numNodes": 1, "resources": [node]}
    async with front(*twins) as (client, _):
        for cluster in ("twin", "nowhere"):
            started = await client.post(f"{base}/jobs/start_job/", json=started_job | {"cluster": cluster})
            answer = await client.post(f"{base}/nodestate/", json=states(cluster, "n1"))
            assert (answer.status_code, answer.json()) == (started.status_code, started.json())
            assert answer.status_code in (400, 404, 409) and not any(heard(one) for one in twins)
        here = await client.post(f"{base}/nodestate/?site=borealis", json=states("twin", "n1"))
        unknown = await client.post(f"{base}/nodestate/?site=nowhere", json=states("twin", "n1"))
    assert here.status_code == 200 and [len(heard(one)) for one in twins] == [0, 1]
    assert told_again(404, "UNKNOWN_SITE", unknown, base)


@BASES
async def test_a_key_for_one_site_need_not_name_it(base: str, tmp_path: Path) -> None:
    twins = [WatchedSite(name, "1.5", [job(1, "alice", "twin")]) for name in ("aurora", "borealis")]
    key = "ccg_" + "K" * 43
    keys = {"slurm": {"hash": hash_of(key), "subject": "key:slurm", "roles": ["api"], "site": "borealis"}}
    table = tmp_path / "table.toml"
    table.write_text("".join(f'["key:slurm".{one.name}]\ntoken = "{one.token("robot")}"\n' for one in twins))
    table.chmod(0o600)
    async with gateway_for(
        *twins, way="none", folder=tmp_path, api_keys=keys, identities={"table": str(table)},
        issuers={"robots": {"key_file": str(tmp_path / "issuer.pub"), "prefix": ""}},
    ) as gate:  # fmt: skip
        slurm = gate.caller(None, **{"X-Auth-Token": key})
        answer = await sent(slurm, "POST", f"{base}/nodestate/", states("twin", "n1"))
        elsewhere = await sent(slurm, "POST", f"{base}/nodestate/?site=aurora", states("twin", "n1"))
    assert answer == (200, "") and [len(heard(one)) for one in twins] == [0, 1]
    assert elsewhere[0] == 403 and not any(one.path.endswith("/nodestate/") for one in twins[0].heard)


NODE = {"hostname": "an001", "states": ["idle"]}
BODIES: Sequence[tuple[str, Any]] = [
    ("no nodes", {"cluster": "aurora", "nodes": []}),
    ("nodes null", {"cluster": "aurora", "nodes": None}),
    ("nodes absent", {"cluster": "aurora"}),
    ("states null", {"cluster": "aurora", "nodes": [{"hostname": "an001", "states": None}]}),
    ("a state null", {"cluster": "aurora", "nodes": [{**NODE, "states": [None]}]}),
    ("other case", {"CLUSTER": "aurora", "Nodes": [{"HostName": "an001", "STATES": ["down"]}]}),
    ("half a character", b'{"cluster":"aurora","nodes":[{"hostname":"an\\ud800"}]}'),
    ("more behind it", b'{"cluster":"aurora","nodes":[]} xx'),
    ("largest", {"cluster": "aurora", "nodes": [{**NODE, "memoryAllocated": (1 << 63) - 1, "jobsRunning": -1}]}),
    ("too large a number", {"cluster": "aurora", "nodes": [{**NODE, "memoryAllocated": 1 << 63}]}),
    ("unknown member", {"cluster": "aurora", "nodes": [], "site": "aurora"}),
    ("unknown member of a node", {"cluster": "aurora", "nodes": [{**NODE, "foo": 1}]}),
    ("cluster a number", {"cluster": 5, "nodes": [NODE]}),
    ("nodes an object", {"cluster": "aurora", "nodes": {}}),
    ("a node a number", {"cluster": "aurora", "nodes": [5]}),
    ("states a text", {"cluster": "aurora", "nodes": [{**NODE, "states": "idle"}]}),
    ("a state a number", {"cluster": "aurora", "nodes": [{**NODE, "states": [5]}]}),
    ("a number as text", {"cluster": "aurora", "nodes": [{**NODE, "cpusAllocated": "5"}]}),
    ("half a CPU", {"cluster": "aurora", "nodes": [{**NODE, "cpusAllocated": 1.5}]}),
    ("a list", []),
    ("nothing", b""),
    ("not JSON", b"xx"),
    ("cut", b'{"cluster":'),
]


@BASES
async def test_bodies_are_read_as_1_5_reads_them(base: str) -> None:
    site = make_site("aurora")
    async with front(site) as (client, _):
        for name, body in BODIES:
            content = body if isinstance(body, bytes) else msgspec.json.encode(body)
            headers = (("x-auth-token", site.token("demo")),)
            direct = site.answer(Request("POST", "/api/nodestate/", "", headers, content))
            before = times_heard(site)
            answer = await client.post(f"{base}/nodestate/", content=content)
            assert (answer.status_code, times_heard(site) - before) == (direct.status, direct.status == 200), (name, answer.text)
            if base != "/api" and direct.status != 200:
                assert answer.json() == msgspec.json.decode(direct.body), name
            if base == "/api" and direct.status != 200:
                assert answer.json()["code"] == "BAD_REQUEST" and "Go " not in answer.text, name


@BASES
async def test_what_names_no_cluster_is_refused_as_the_site_would_drop_it(base: str) -> None:
    site = make_site("aurora")
    async with front(site) as (client, _):
        for body in ({"nodes": [NODE]}, {"cluster": "", "nodes": [NODE]}, {"cluster": None}, {}, None):
            answer = await client.post(f"{base}/nodestate/", content=msgspec.json.encode(body))
            assert answer.status_code == 400 and "cluster" in answer.json()["error"]
    assert heard(site) == []


@BASES
async def test_thousands_of_nodes_are_taken_and_no_more_than_the_limit_of_a_body(base: str) -> None:
    site = make_site("aurora")
    body = states("aurora", *(f"an{number}" for number in range(2500)))
    async with front(site) as (client, _):
        answer = await client.post(f"{base}/nodestate/", json=body)
        odd = await client.post(f"{base}/nodestate/", content=msgspec.json.encode(body).replace(b'"states"', b'"States"'))
    assert answer.status_code == 200 and heard(site) == [body]
    assert odd.status_code == 400 and "2000 nodes" in odd.json()["error"]
    async with front(site, limits={"body_bytes": 2048}) as (client, _):
        large = await client.post(f"{base}/nodestate/", json=body)
    assert told_again(413, "BODY_TOO_LARGE", large, base) and "limits.body_bytes" in large.json()["error"]


@BASES
async def test_a_site_that_is_down_got_nothing_and_of_one_that_hangs_nobody_knows(base: str) -> None:
    site = make_site("aurora")
    async with serve(site) as running:
        settings = settings_of([site], running)
        sections = {"aurora": settings.sites["aurora"].model_copy(update={"timeout": 2.0, "release": "1.5"})}
        async with serving(settings.model_copy(update={"sites": sections})) as client:
            rule = site.faults.write(WriteFault.TIMEOUT_AFTER)
            hung = await client.post(f"{base}/nodestate/", json=states("aurora", "an001"), timeout=30)
            site.faults.clear()
            lost = site.faults.write(WriteFault.RESET_AFTER)
            cut = await client.post(f"{base}/nodestate/", json=states("aurora", "an001"), timeout=30)
            site.faults.clear()
            await running["aurora"].stop()
            down = await client.post(f"{base}/nodestate/", json=states("aurora", "an001"), timeout=30)
            await running["aurora"].start()
    assert (rule.hits, lost.hits, len(heard(site))) == (1, 1, 2)  # each sent once
    for answer in (hung, cut):
        assert "not known whether this took effect" in answer.json()["error"] and answer.status_code == 504
        assert base != "/api" or answer.json()["outcome"] == "UNKNOWN"
    assert told_again(502, "UNREACHABLE", down, base) and "not known" not in down.json()["error"]
