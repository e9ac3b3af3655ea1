"""Where the exports are: below ``/export``, for everybody who may ask for lists."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import Mount

from ccgateway.federation.gateway import Gateway
from ccgateway.federation.questions import Policy
from ccgateway.settings import LimitSettings
from ccgateway.settings.base import Partial
from ccgateway.settings.export import ExportSettings
from ccgateway.surfaces.callers import CallerOf
from ccgateway.surfaces.export.operations import export_table
from ccgateway.surfaces.export.streams import Streams
from ccgateway.surfaces.ids import Ids
from ccgateway.surfaces.origins import shared_with
from ccgateway.surfaces.rest.access import may_use_userapi
from ccgateway.surfaces.rest.calls import AppState
from ccgateway.surfaces.rest.howto import HowtoFormat
from ccgateway.surfaces.rest.rest_app import RestApp
from ccgateway.surfaces.rest.routes import SHOWN
from ccgateway.traffic.admission import Traffic

__all__ = ["export_routes"]


class ExportFormat(HowtoFormat):
    """Refusals as ``/api`` words them."""

    not_here = "Exports are for those who have a role."


def export_routes(
    gateway: Gateway,
    caller_of: CallerOf,
    limits: LimitSettings,
    streams: Streams,
    settings: ExportSettings,
    *,
    partial: Partial,
    origins: Sequence[str],
    traffic: Traffic,
) -> Mount:
    """The route; the arguments are those of ``rest_routes``, and the exports of the process with their settings."""
    policy = Policy.STRICT if partial == "refuse" else Policy.PARTIAL
    state = AppState(gateway, limits, Ids(gateway.numbers), traffic, policy)
    table = export_table(streams, settings)
    app = RestApp(state, table, ExportFormat(), caller_of, admits=may_use_userapi, origins=frozenset(origins))
    return Mount("/export", shared_with(app, origins, shown=SHOWN))
