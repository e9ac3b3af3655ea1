"""A job's metrics in the steps that are asked for, which only the site's own GraphQL takes, from 1.4 on."""

from __future__ import annotations

from collections.abc import Sequence

from ccgateway.errors import forget_frames
from ccgateway.jobs.metrics import MetricPiece, MetricsWanted
from ccgateway.site.base import Site
from ccgateway.site.credentials import Credential
from ccgateway.site.exchange import CallContext
from ccgateway.site.queries.ways import Ways
from ccgateway.site.releases import Dialect, MetricsRefusedError, MetricsRoute
from ccgateway.site.releases.metric_answers import resolved_pieces, resolved_request
from ccgateway.site.releases.query import QueryFailedError
from ccgateway.traffic.scopes import in_turn

__all__ = ["metrics_route", "read_pieces", "resolution_notes"]


def metrics_route(dialect: Dialect, ways: Ways, credential: Credential, wanted: MetricsWanted) -> MetricsRoute:
    """Which way that question goes: by the site's own GraphQL where it asks for a resolution that the site takes, and the site
    shows the credential the same there as by REST."""
    route = dialect.metrics_route(credential)
    if wanted.resolution is None or route.by_post or not dialect.thins_out:
        return route
    return MetricsRoute(by_post=False, resolution=wanted.resolution) if ways.way(dialect, credential).by_query else route


async def read_pieces(
    site: Site, dialect: Dialect, context: CallContext, db_id: int, wanted: MetricsWanted, *, ways: Ways
) -> tuple[list[MetricPiece], MetricsRoute] | MetricsRefusedError:
    """The pieces, and the way that they came. REST has to say what is to be had where the site refuses the resolution (it has to
    be a multiple of each metric's own), or has nothing to give."""
    credential = context.credential
    route = metrics_route(dialect, ways, credential, wanted)
    if route.resolution is not None:
        pieces = await ways.tried(dialect, credential, lambda: _resolved(site, context, db_id, wanted))
        if pieces is not None:
            return pieces, route
        route = dialect.metrics_route(credential)
    request = dialect.metrics_request(dialect.root(credential), db_id, wanted, route)
    try:
        with site.proofs.proving(credential):
            answer = await site.origin.send(request, context)
            return await in_turn(lambda: dialect.metric_pieces(answer, site.name, wanted, route)), route
    except MetricsRefusedError as refused:
        forget_frames(refused)
        return refused


async def _resolved(site: Site, context: CallContext, db_id: int, wanted: MetricsWanted) -> list[MetricPiece] | None:
    try:
        with site.proofs.proving(context.credential):
            answer = await site.origin.send(resolved_request(db_id, wanted), context)
            return await in_turn(lambda: resolved_pieces(answer, site.name))
    except QueryFailedError:
        return None


def resolution_notes(dialect: Dialect, route: MetricsRoute, wanted: MetricsWanted, pieces: Sequence[MetricPiece]) -> list[str]:
    """What is to be said where other steps came than were asked for. 0 asks for the finest that there are, which is what a
    release that takes no resolution gives."""
    if wanted.resolution is None or all(piece.metric.timestep == wanted.resolution for piece in pieces):
        return []
    if route.resolution is not None:
        if wanted.resolution == 0:
            return []
        return ["resolution: a site thins out long series only, to multiples of a metric's own steps; timestep tells what it is."]
    if wanted.resolution == 0 and not dialect.thins_out:
        return []
    return ["resolution: chosen by the site, as its REST interface takes none; timestep tells what it is."]
