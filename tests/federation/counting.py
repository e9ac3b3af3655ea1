"""What the tests of statistics share: jobs of three people, a site as somebody sees it, and one question about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import SecretStr

from ccgateway.errors import GatewayError
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.statistics import StatisticsAnswer, StatisticsQuestion
from ccgateway.identity.principal import Principal
from ccgateway.settings import SiteSettings
from ccgateway.site.credentials import Credential, OneToken
from ccgateway.site.instance import Instance
from support.figures import Answering, made

__all__ = ["CALLER", "REAL", "jobs", "one", "shown_as"]

CALLER = Principal("tester")
REAL = ["1.2", "1.3", "1.4", "1.5"]


def jobs(*, count: int = 12) -> list[dict[str, Any]]:
    """Jobs of three people."""
    return [
        made(n, user=("alice", "bob", "mona")[n % 3], project="p_ab"[: 3 + n % 2], numNodes=n % 4 + 1, duration=1000 * n)
        for n in range(1, count + 1)
    ]


async def one(gateway: Gateway, question: StatisticsQuestion) -> StatisticsAnswer:
    (outcome,) = await gateway.statistics([question], CALLER)
    if isinstance(outcome, GatewayError):
        raise outcome
    return outcome


def shown_as(wire: Answering, user: str, roles: Sequence[str], number: int = 1, **settings: Any) -> Instance:
    """The site as somebody with these roles sees it."""
    site = wire.site
    values = {"name": site.name, "number": number, "url": f"http://{site.name}", "release": site.release.name, "timeout": 10}
    credential = Credential.from_token(SecretStr(site.mint(user, roles)))
    return Instance(SiteSettings.model_validate(values | settings), wire, OneToken(credential))
