"""Which paths a release knows, and how it turns away the rest.

:class:`Router` is built once per release; :meth:`Router.answer` finds the route, asks the gate, and calls the handler.
Before anything else the site's own workers get to do what they have done by then.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ccgateway.simulator import graphql, listing, reading
from ccgateway.simulator.call import Call, Handler
from ccgateway.simulator.gate import Area, Principal, admitted
from ccgateway.simulator.messages import (
    Request,
    Response,
    json_error,
    json_response,
    login_page,
    moved,
    text_response,
    unauthorized,
)
from ccgateway.simulator.release import Release
from ccgateway.simulator.tokens import BadTokenError, Keys
from ccgateway.simulator.writing import accounts, deleting, editing, starting, stopping, tagging

if TYPE_CHECKING:
    from ccgateway.simulator.backend import Backend

__all__ = ["Router"]


@dataclass(frozen=True, slots=True)
class Route:
    """A path pattern with its methods."""

    area: Area
    methods: frozenset[str]
    pattern: re.Pattern[str]
    slash: bool  #: whether the registered form ends in a slash
    handler: Handler
    role: str | None = "api"  #: wanted by the handler itself where the release has no gate in front


class Router:
    """All routes of one release."""

    def __init__(self, release: Release) -> None:
        self.release = release
        self.routes = _routes(release)

    def answer(self, backend: Backend, keys: Keys, request: Request) -> Response:
        """What the site says to *request*."""
        backend.changes.settle()
        path = unquote(request.path)
        if self.release.refuses_cross_site and _crosses_sites(request):
            return text_response(403, "cross-site request blocked")
        allowed: set[str] = set()
        for route in self.routes:
            found = route.pattern.fullmatch(path.rstrip("/") if path != "/" else path)
            if found is None:
                continue
            exact = path.endswith("/") == route.slash and not path.endswith("//")
            if request.method not in route.methods:
                allowed |= route.methods if exact else set()
            elif exact:
                return self._handled(route, backend, keys, request, found.groupdict())
            elif not self.release.chi:
                return self._redirected(route, keys, request)
        return self._unrouted(keys, request, path, allowed)

    def _handled(self, route: Route, backend: Backend, keys: Keys, request: Request, path: dict[str, str]) -> Response:
        who = self._enter(route.area, keys, request)
        if isinstance(who, Response):
            return who
        if not self.release.role_gate and route.role is not None and not who.has(route.role):
            return json_error(403, f"missing role: {route.role}")
        return route.handler(Call(backend, request, who, path))

    def _redirected(self, route: Route, keys: Keys, request: Request) -> Response:
        who = self._enter(route.area, keys, request)
        if isinstance(who, Response):
            return who
        path = request.path.rstrip("/") + ("/" if route.slash else "")
        return moved(request.method, f"{path}?{request.query}" if request.query else path)

    def _unrouted(self, keys: Keys, request: Request, path: str, allowed: set[str]) -> Response:
        if not self.release.chi:
            return text_response(404, "404 page not found")
        if path.startswith("/userapi/"):
            who = self._enter(Area.USERAPI, keys, request)
            if isinstance(who, Response):
                return who
        if allowed:
            return Response(405, headers=tuple(("allow", method) for method in sorted(allowed)))
        return json_response({"error": "the requested endpoint does not exist", "status": "Resource not found"}, status=404)

    def _enter(self, area: Area, keys: Keys, request: Request) -> Principal | Response:
        """The principal, or how the release turns the caller away."""
        gated = self.release.role_gate and area is not Area.QUERY
        token = request.token
        if not token:
            if not gated:
                return login_page()
            return unauthorized("no user for secured check" if area is Area.API else "unauthorized")
        try:
            who = keys.verify(token, self.release)
        except BadTokenError as bad:
            return unauthorized(str(bad)) if gated else text_response(401, str(bad))
        if not admitted(self.release, area, who):
            return unauthorized("unauthorized", times=1 if who.roles else 2)
        return who


def _crosses_sites(request: Request) -> bool:
    safe = request.method in {"GET", "HEAD", "OPTIONS", "TRACE"}
    return not safe and request.header("sec-fetch-site") == "cross-site"


def _routes(release: Release) -> list[Route]:
    reads: list[tuple[str, str, Handler]] = [
        ("GET", "/jobs/", listing.list_jobs),
        ("GET", "/jobs/metrics/{id}", reading.job_metrics),
    ]
    single: list[tuple[str, str, Handler]] = [("POST", "/jobs/{id}", reading.post_job)]
    if release.single_by_get:
        single.append(("GET", "/jobs/{id}", reading.get_job))
    admin: list[tuple[str, str, Handler]] = [("GET", "/users/", reading.users)]
    if release.clusters_by_rest:
        admin.append(("GET", "/clusters/", reading.clusters))
    if release.used_nodes:
        admin.append(("GET", "/jobs/used_nodes", reading.used_nodes))
    own_role: dict[Handler, str | None] = dict.fromkeys(
        (reading.job_metrics, reading.users, accounts.create_user, accounts.delete_user, accounts.change_user)
    )

    def route(area: Area, methods: str, path: str, handler: Handler) -> Route:
        pattern = re.escape(area.prefix) + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path.rstrip("/"))
        return Route(
            area,
            frozenset(methods.split()),
            re.compile(pattern),
            path.endswith("/"),
            handler,
            own_role.get(handler, "api"),
        )

    routes = [route(Area.API, *entry) for entry in (*reads, *admin)]
    routes += [route(Area.API, *entry) for entry in _writes(release)]
    routes += [route(Area.API, *entry) for entry in single]
    if release.edit_meta_by_key:
        routes += [route(Area.METRIC_STORE, "POST", path, accounts.write_metrics) for path in ("/write", "/write/")]
    if release.userapi:
        routes += [route(Area.USERAPI, *entry) for entry in (*reads, *single)]
    routes.append(
        Route(Area.QUERY, frozenset({"GET", "POST"}), re.compile("/query"), slash=False, handler=graphql.query, role=None)
    )
    return routes


def _writes(release: Release) -> list[tuple[str, str, Handler]]:
    writes: list[tuple[str, str, Handler]] = [
        ("POST PUT", "/jobs/start_job/", starting.start_job),
        ("POST PUT", "/jobs/stop_job/", stopping.stop_by_key),
        ("POST PATCH", "/jobs/tag_job/{id}", tagging.tag_job),
        ("DELETE", "/jobs/delete_job/", deleting.delete_by_key),
        ("DELETE", "/jobs/delete_job/{id}", deleting.delete_by_id),
        ("DELETE", "/jobs/delete_job_before/{ts}", deleting.delete_before),
    ]
    if release.stop_by_id:
        writes.append(("POST PUT", "/jobs/stop_job/{id}", stopping.stop_by_id))
    if release.untag:
        writes += [("DELETE", "/jobs/tag_job/{id}", tagging.untag_job), ("DELETE", "/tags/", tagging.drop_tags)]
    if release.edit_meta:
        writes.append((" ".join(sorted(release.edit_meta)), "/jobs/edit_meta/{id}", editing.edit_by_id))
    if release.edit_meta_by_key:
        writes += [
            ("PATCH", "/jobs/edit_meta/", editing.edit_by_key),
            ("POST PUT", "/nodestate/", accounts.node_states),
        ]
    if release.user_forms:
        writes += [("POST PUT", "/users/", accounts.create_user), ("DELETE", "/users/", accounts.delete_user)]
    if release.user_forms or release.user_json:
        writes.append(("POST", "/user/{id}", accounts.change_user))
    return writes
