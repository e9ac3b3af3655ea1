"""Each person sees through the gateway what the real release shows that person's own token, and never more.

The same people ask one gateway by tokens of its own issuer; it shows them to the instances by their own tokens (table) or by
tokens that it signs with each instance's key.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ccgateway.app import create_app
from ccgateway.identity.ed25519 import mint
from ccgateway.settings import Settings
from live import upstream
from live.farm import Farm, Site
from live.truth import Job

ROLES: Mapping[str, Sequence[str]] = {
    "demo": ("admin", "api"),
    "robot": ("api",),
    "sam": ("support", "api"),
    "mona": ("manager", "api"),
    "alice": ("user", "api"),
    "bob": ("user", "api"),
}
SEES_ALL = ("demo", "robot", "sam")
LIST = """query($sites: [String!], $after: String) {
  jobs(sites: $sites, first: 1000, after: $after) {
    items { id user } pageInfo { endCursor hasNextPage } sites { status code }
  }
}"""

pytestmark = pytest.mark.asyncio(loop_scope="module")
everybody = pytest.mark.parametrize("name", ROLES)


@dataclass
class Gate:
    """The gateway's application, and its issuer's key."""

    client: httpx.AsyncClient
    key: Ed25519PrivateKey
    farm: Farm
    grpc_port: int

    async def ask(self, name: str, document: str, **variables: Any) -> dict[str, Any]:
        token = mint(self.key, name, ROLES[name], now=time.time(), lifetime=300).get_secret_value()
        body = {"query": document, "variables": variables}
        answer = await self.client.post("/graphql", json=body, headers={"Authorization": f"Bearer {token}"}, timeout=60)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest_asyncio.fixture(scope="module", params=["table", "signed"], loop_scope="module")
async def gate(request: pytest.FixtureRequest, farm: Farm, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gate]:
    folder: Path = tmp_path_factory.mktemp("identities")
    key = Ed25519PrivateKey.generate()
    (folder / "issuer.pub").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    sites: dict[str, Any] = {site.name: {"number": site.number, "url": site.url, "same_names": True} for site in farm}
    sections: dict[str, Any] = {"sites": sites, "issuers": {"gateway": {"key_file": str(folder / "issuer.pub")}}}
    if request.param == "table":
        table = folder / "people.toml"
        table.touch(0o600)
        lines = [
            f'[{name}.{site.name}]\ntoken = "{site.tokens[name]}"\n' for site in farm for name in ROLES if name in site.tokens
        ]
        table.write_text("\n".join(lines))
        sections["identities"] = {"table": str(table)}
    else:
        for site in farm:
            if site.private is None:
                pytest.skip(f"farm.json has no signing key of {site.name}")
            sites[site.name]["signing_key"] = site.private
    app = create_app(Settings.model_validate(sections | {"grpc": {"port": 0}}))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client,
    ):
        assert app.grpc is not None and app.grpc.port is not None
        yield Gate(client, key, farm, app.grpc.port)


def shown_by(site: Site, name: str) -> set[int] | None:
    """The database ids that the instance lists to the person's own token, of others only where it knows roles; ``None`` if it
    does not let the person in."""
    status, _ = upstream.call(site, "GET", f"{site.root(name)}/jobs/?items-per-page=1", user=name)
    if status == 401:
        return None
    rows = upstream.listed(site, name)
    mine_only = not site.isolates and name not in SEES_ALL
    return {row["id"] for row in rows if not mine_only or row["user"] == name}


def skip_without(site: Site, name: str) -> None:
    if name not in site.tokens:
        pytest.skip(f"farm.json has no token of {name}")


async def listed(gate: Gate, name: str, site: Site) -> tuple[set[int], set[str | None]]:
    ids: set[int] = set()
    codes: set[str | None] = set()
    after, more = None, True
    while more:
        answer = await gate.ask(name, LIST, sites=[site.name], after=after)
        if answer["data"] is None:
            return ids, {error["extensions"]["code"] for error in answer["errors"]}
        page = answer["data"]["jobs"]
        ids |= {int(job["id"].partition(":")[2]) for job in page["items"]}
        codes |= {report["code"] for report in page["sites"]}
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    return ids, codes


@everybody
async def test_the_list_is_what_the_release_shows_the_persons_own_token(gate: Gate, name: str) -> None:
    for site in gate.farm:
        skip_without(site, name)
        wanted = shown_by(site, name)
        ids, codes = await listed(gate, name, site)
        if wanted is None:
            assert ids == set() and "SITE_UNAUTHORIZED" in codes
        else:
            assert ids == wanted and codes <= {None}, f"{name} at {site.name}"


@everybody
async def test_jobs_by_id_metrics_and_counts_follow_the_list(gate: Gate, name: str, farm_jobs: list[Job]) -> None:
    document = "query($id: ID!) { job(id: $id) { user } }"
    metrics = 'query($id: ID!) { jobMetrics(id: $id, metrics: ["cpu_load"], scopes: [node]) { name } }'
    for site in gate.farm:
        skip_without(site, name)
        wanted = shown_by(site, name)
        if wanted is None:
            continue
        jobs = [job for job in farm_jobs if job["site"] == site.name]
        mine = [job for job in jobs if job["user"] == name][:2]
        others = [job for job in jobs if job["user"] != name][:3] + [job for job in jobs if job["user"] != name][-2:]
        for job in (*mine, *others):
            ident = f"{site.name}:{job['dbId']}"
            found, series = await gate.ask(name, document, id=ident), await gate.ask(name, metrics, id=ident)
            if job["dbId"] in wanted:
                assert found == {"data": {"job": {"user": job["user"]}}}
            else:
                assert {error["extensions"]["code"] for error in (*found["errors"], *series["errors"])} == {"NOT_FOUND"}
                unknown = await gate.ask(name, document, id=f"{site.name}:99999999")
                assert found["errors"][0]["message"] == unknown["errors"][0]["message"].replace("99999999", str(job["dbId"]))
            if name != "robot":  # whose token reads metrics by way of the job
                path = f"{site.root(name)}/jobs/metrics/{job['dbId']}?metric=cpu_load&scope=node"
                _, told = upstream.call(site, "GET", path, user=name)
                assert ("errors" not in series) == (job["dbId"] in wanted and told.get("error") is None), (name, ident, told)
        counted = await gate.ask(name, "query($sites: [String!]) { jobs(sites: $sites, first: 1) { count } }", sites=[site.name])
        assert counted["data"]["jobs"]["count"] == len(wanted)


@everybody
async def test_users_are_told_to_administrators_and_clusters_to_all(gate: Gate, name: str) -> None:
    for site in gate.farm:
        skip_without(site, name)
        if shown_by(site, name) is None:
            continue
        found = await gate.ask(name, "query($sites: [String!]) { users(sites: $sites) { username } }", sites=[site.name])
        status, told = upstream.call(site, "GET", "/api/users/", user=name)
        if status == 200:
            assert {one["username"] for one in found["data"]["users"]} == {one["username"] for one in told}
        else:
            assert found["data"] is None
        told = await gate.ask(name, "query($sites: [String!]) { clusters(sites: $sites) { name partitions } }", sites=[site.name])
        assert site.cluster in [one["name"] for one in told["data"]["clusters"]]


async def test_all_instances_at_once_show_each_person_its_own(gate: Gate) -> None:
    for name in ROLES:
        answer = await gate.ask(name, "{ jobs(first: 10000) { items { id site user } } sites { name reachable } }")
        shown: dict[str, set[int]] = {}
        for job in answer["data"]["jobs"]["items"]:
            shown.setdefault(job["site"], set()).add(int(job["id"].partition(":")[2]))
        for site in gate.farm:
            assert shown.get(site.name, set()) == (shown_by(site, name) or set()), f"{name} at {site.name}"


async def test_a_person_whom_nobody_knows_sees_nothing(gate: Gate) -> None:
    token = mint(gate.key, "mallory", ("user", "api"), now=time.time(), lifetime=300).get_secret_value()
    answer = await gate.client.post(
        "/graphql", json={"query": "{ jobs(first: 100) { items { id } } }"}, headers={"X-Auth-Token": token}
    )
    data = answer.json()["data"]
    assert data is None or data["jobs"]["items"] == []
