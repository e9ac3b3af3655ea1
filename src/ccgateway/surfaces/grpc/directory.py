"""DirectoryService: the sites, and what they have beside jobs."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from ccgateway.federation.gateway import Gateway
from ccgateway.federation.questions import SiteCluster, SiteStatus, SiteTag, SiteUser
from ccgateway.surfaces.grpc.calls import Call
from ccgateway.surfaces.grpc.clusters import BY_DEFAULT, cluster_message
from ccgateway.surfaces.grpc.costs import check_filters
from ccgateway.surfaces.grpc.messages import report_message, tag_message, unreachable_in
from ccgateway.surfaces.grpc.paging import page_of
from ccgateway.surfaces.grpc.requests import masked, policy_of, sites_of
from ccgateway.surfaces.grpc.statuses import error_message
from ccgateway.v1 import cluster_pb2
from ccgateway.v1 import directory_service_pb2 as pb

__all__ = ["Directory"]


class Directory:
    """The methods."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def list_sites(self, request: pb.ListSitesRequest, call: Call) -> pb.ListSitesResponse:
        """The sites, each asked just now."""
        check_filters(request)
        found = await self._gateway.sites(call.caller, sites=sites_of(request.sites))
        page, token = page_of(
            found,
            lambda one: (one.number,),
            size=request.page_size,
            token=request.page_token,
            question=("sites", *request.sites),
        )
        return pb.ListSitesResponse(sites=map(_site, page), next_page_token=token)

    async def list_clusters(self, request: pb.ListClustersRequest, call: Call) -> pb.ListClustersResponse:
        """The clusters of all sites."""
        check_filters(request)
        fields = masked(request.read_mask, cluster_pb2.Cluster, BY_DEFAULT)
        answer = await self._gateway.clusters(
            call.caller,
            sites=sites_of(request.sites),
            policy=policy_of(request.policy, call.caller),
            with_partitions="partitions" in fields,
        )
        numbers = self._gateway.numbers

        def key(one: SiteCluster) -> tuple[int, str]:
            return numbers[one.site], one.cluster.name

        page, token = page_of(
            answer.items, key, size=request.page_size, token=request.page_token, question=("clusters", *request.sites)
        )
        return pb.ListClustersResponse(
            clusters=[cluster_message(one.site, one.cluster, fields) for one in page],
            next_page_token=token,
            unreachable=unreachable_in(answer.reports),
            site_reports=map(report_message, answer.reports),
        )

    async def list_users(self, request: pb.ListUsersRequest, call: Call) -> pb.ListUsersResponse:
        """The accounts of all sites."""
        check_filters(request)
        answer = await self._gateway.users(
            call.caller, sites=sites_of(request.sites), policy=policy_of(request.policy, call.caller)
        )
        numbers = self._gateway.numbers

        def key(one: SiteUser) -> tuple[int, str]:
            return numbers[one.site], one.user.username

        page, token = page_of(
            answer.items, key, size=request.page_size, token=request.page_token, question=("users", *request.sites)
        )
        return pb.ListUsersResponse(
            users=map(_user, page),
            next_page_token=token,
            unreachable=unreachable_in(answer.reports),
            site_reports=map(report_message, answer.reports),
        )

    async def list_tags(self, request: pb.ListTagsRequest, call: Call) -> pb.ListTagsResponse:
        """The tags of all sites."""
        check_filters(request)
        answer = await self._gateway.tags(
            call.caller, sites=sites_of(request.sites), policy=policy_of(request.policy, call.caller)
        )
        page, token = page_of(
            answer.items,
            lambda one: one.tag.key,
            size=request.page_size,
            token=request.page_token,
            question=("tags", *request.sites),
        )
        return pb.ListTagsResponse(
            tags=map(_tag, page),
            next_page_token=token,
            unreachable=unreachable_in(answer.reports),
            site_reports=map(report_message, answer.reports),
        )


def _site(one: SiteStatus) -> pb.Site:
    failure = one.last_error
    has_time = failure is not None and one.last_error_at is not None
    return pb.Site(
        name=one.name,
        number=one.number,
        release=one.release or "",
        configured_release=one.configured_release,
        required=one.required,
        reachable=one.reachable,
        since=Timestamp(seconds=int(one.since)),
        elapsed_seconds=one.elapsed,
        last_error=error_message(failure) if failure is not None else None,
        last_error_time=Timestamp(seconds=int(one.last_error_at or 0)) if has_time else None,
        capabilities=one.capabilities,
        same_as=one.same_as or "",
    )


def _user(one: SiteUser) -> pb.User:
    user = one.user
    return pb.User(
        site=one.site,
        username=user.username,
        name=user.name,
        email=user.email,
        roles=user.roles or (),
        projects=user.projects or (),
    )


def _tag(one: SiteTag) -> pb.SiteTag:
    return pb.SiteTag(tag=tag_message(one.tag), sites=one.sites)
