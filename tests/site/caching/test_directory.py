"""Clusters and users of sites: asked for once in a while, by those who may see them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from ccgateway.errors import FederationError
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.questions import Answer, Policy, SiteCluster, SiteUser
from ccgateway.identity.principal import Principal
from ccgateway.simulator import RELEASES
from ccgateway.simulator.clusters import synthetic_cluster
from ccgateway.site.instance import Instance
from support.caching import Clock, cache_of, settled
from support.upstream import ADMIN, Job, Upstream, site_of, user_credential
from support.walking import CALLER, gateway_over
from support.whose import Whose


async def clusters(gateway: Gateway, *, with_partitions: bool = False) -> Answer[SiteCluster]:
    return await gateway.clusters(CALLER, sites=None, policy=Policy.PARTIAL, with_partitions=with_partitions)


async def users(gateway: Gateway, caller: Principal = CALLER) -> Answer[SiteUser]:
    return await gateway.users(caller, sites=None, policy=Policy.PARTIAL)


@pytest.mark.parametrize("release", ["1.2", "1.3", "1.4", "1.5"])
async def test_what_is_remembered_is_what_was_said(release: str) -> None:
    upstream = Upstream([Job(1, 1000)], release=release)
    cluster = synthetic_cluster("alex", RELEASES[release])
    cluster["subClusters"][0]["topology"]["accelerators"] = [{"id": "0", "type": "gpu", "model": "x"}]
    upstream.clusters = [cluster, {"name": "fritz"}]
    async with gateway_over([site_of(upstream, "one")], cache_of()) as gateway:
        for with_partitions in (False, True):
            first = await clusters(gateway, with_partitions=with_partitions)
            before = len(upstream.requests)
            second = await clusters(gateway, with_partitions=with_partitions)
            assert second.items == first.items != []
            assert len(upstream.requests) == before
            assert not with_partitions or first.items[0].cluster.partitions is not None
        told = await users(gateway)
        assert (await users(gateway)).items == told.items != []


async def test_however_many_ask_at_once_the_site_is_asked_once_and_again_later() -> None:
    upstream, clock = Upstream([Job(1, 1000)]), Clock()
    responses = cache_of(clock, clusters_for=100)
    async with gateway_over([site_of(upstream, "one")], responses) as gateway:
        answers = await asyncio.gather(*[clusters(gateway) for _ in range(50)])
        await asyncio.gather(*[users(gateway) for _ in range(50)])
        assert len(upstream.requests) == 2
        assert sum(answer.reports[0].calls for answer in answers) == 1
        await settled(responses)
        clock.now += 99
        late = await clusters(gateway)
        assert late.reports[0].cache_age == pytest.approx(99, abs=0.5)
        clock.now += 2
        upstream.clusters = [{"name": "alex"}, {"name": "new"}]
        assert len((await clusters(gateway)).items) == 2


async def test_a_site_without_clusters_is_asked_again() -> None:
    upstream = Upstream([Job(1, 1000)])
    upstream.clusters = []
    async with gateway_over([site_of(upstream, "one")], cache_of()) as gateway:
        await clusters(gateway)
        upstream.clusters = [{"name": "alex"}]
        assert len((await clusters(gateway)).items) == 1


async def test_the_user_list_is_for_those_to_whom_the_site_shows_it() -> None:
    upstream = Upstream([Job(1, 1000)])
    robot = replace(ADMIN, user="robot", roles=frozenset({"api"}))
    known = Whose(tester=ADMIN, alice=user_credential("alice"), robot=robot)
    instance = Instance(site_of(upstream, "one").settings, upstream, known)
    async with gateway_over([instance], cache_of()) as gateway:
        assert len((await users(gateway)).items) == 1
        with pytest.raises(FederationError):
            await users(gateway, Principal("alice"))
        with pytest.raises(FederationError):
            await users(gateway, Principal("robot"))  # roles decide what a site lists: it is asked
    assert len(upstream.requests) == 2
