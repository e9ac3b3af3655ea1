"""Sites of the simulator behind the ``Exchange`` seam, without a network: read by REST, or by their own GraphQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pydantic import SecretStr

from ccgateway.errors import SiteError
from ccgateway.settings import SiteSettings
from ccgateway.simulator import SimulatedSite
from ccgateway.simulator.messages import Request, Response
from ccgateway.site.credentials import Credential, OneToken
from ccgateway.site.exchange import CallContext, SiteAnswer, SiteRequest
from ccgateway.site.instance import Instance

__all__ = ["Simulated", "answer_of", "credential_of", "response_of"]


def credential_of(site: SimulatedSite, user: str = "demo") -> Credential:
    """One of the site's users, by a token of the site's own."""
    return Credential.from_token(SecretStr(site.token(user)))


def response_of(site: SimulatedSite, request: SiteRequest, token: str) -> Response:
    """What the site says to who shows that token."""
    path, _, query = request.path.partition("?")
    headers = [("x-auth-token", token), *([("content-type", request.media_type)] if request.body is not None else [])]
    return site.answer(Request(request.method, path, query, tuple(headers), request.body or b""))


def answer_of(response: Response) -> SiteAnswer:
    """The same as a client of the network would have it."""
    kind = next((value for name, value in response.headers if name == "content-type"), "")
    return SiteAnswer(response.status, kind.partition(";")[0], response.body)


class Simulated:
    """One simulated site. ``requests``: what it was asked; ``disturbs``: what stands in place of an answer to ``/query``;
    ``before_each``: what happens there before every request."""

    def __init__(self, site: SimulatedSite) -> None:
        self.site = site
        self.requests: list[SiteRequest] = []
        self.disturbs: Callable[[SiteAnswer], SiteAnswer | SiteError] = lambda answer: answer
        self.before_each: Callable[[], None] = lambda: None

    @property
    def queries(self) -> int:
        """How often ``/query`` was asked."""
        return sum(request.path == "/query" for request in self.requests)

    async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        """The site's answer."""
        self.requests.append(request)
        context.stats.calls += 1
        await asyncio.sleep(0)
        self.before_each()
        answer = answer_of(response_of(self.site, request, context.credential.token.get_secret_value()))
        if request.path != "/query":
            return answer
        disturbed = self.disturbs(answer)
        if isinstance(disturbed, SiteError):
            raise disturbed
        return disturbed

    def instance(self, number: int = 1, *, user: str = "demo", **settings: Any) -> Instance:
        """The gateway's side of it."""
        name = self.site.name
        values = {"name": name, "number": number, "url": f"http://{name}.site", "release": self.site.release.name, **settings}
        return Instance(SiteSettings.model_validate(values), self, OneToken(credential_of(self.site, user)))
