"""Which release answers at a site, found out by safe reads only.

No release has a version endpoint; they differ in what they accept. Asked in this order, with hardly a job in any answer:

1. the list filtered by ``project``: accepted → 1.5; refused as unknown parameter → older, or ``howto``
2. the list under ``/userapi``: there → 1.4; not there → up to 1.3
3. one cluster by name: the endpoint is there → 1.3; not there → 1.2
"""

from __future__ import annotations

from ccgateway.errors import Code, SiteError
from ccgateway.site.exchange import CallContext, Exchange, SiteAnswer, SiteRequest
from ccgateway.site.replies import reason_of, refuse

__all__ = ["find_release"]

#: a list that holds none, so that a job which the site cannot read does not fail it
NO_JOBS = "items-per-page=1&start-time=1-0"


async def find_release(exchange: Exchange, context: CallContext, site: str) -> str:
    """The release (``"1.2"`` … ``"1.5"``, ``"howto"``) that answers. Raises ``SiteError`` if none fits or nothing answers."""
    root = context.credential.root
    by_project = await _list(exchange, context, root, "items-per-page=1&project=-")
    if _is_list(by_project):
        return "1.5"
    if root == "/userapi" and by_project.status == 404 and by_project.media_type == "text/plain":
        # an ordinary user's token at a release without /userapi
        return await _up_to_1_3(exchange, context, site)
    if by_project.status != 400:
        raise _unexpected(by_project, site)
    if "items-per-page" in reason_of(by_project) or not _is_list(await _list(exchange, context, root, NO_JOBS)):
        documented = await _list(exchange, context, root, "items_per_page=1")
        if _is_list(documented):
            return "howto"
        raise _unexpected(documented, site)
    under_userapi = await _list(exchange, context, "/userapi", NO_JOBS)
    if under_userapi.status == 404:
        return await _up_to_1_3(exchange, context, site)
    return "1.4"


async def _up_to_1_3(exchange: Exchange, context: CallContext, site: str) -> str:
    plain = await _list(exchange, context, "/api", NO_JOBS)
    if not _is_list(plain):
        raise _unexpected(plain, site)
    cluster = await exchange.exchange(SiteRequest("GET", "/api/clusters/?cluster=-"), context)
    return "1.2" if cluster.status == 404 else "1.3"


async def _list(exchange: Exchange, context: CallContext, root: str, query: str) -> SiteAnswer:
    return await exchange.exchange(SiteRequest("GET", f"{root}/jobs/?{query}"), context)


def _is_list(answer: SiteAnswer) -> bool:
    return answer.status == 200 and b'"jobs"' in answer.body


def _unexpected(answer: SiteAnswer, site: str) -> SiteError:
    if 200 <= answer.status < 300:
        return SiteError(
            Code.BAD_ANSWER, site, "What answers there is not a cc-backend that this gateway knows. Is the URL right?"
        )
    return refuse(answer, site)
