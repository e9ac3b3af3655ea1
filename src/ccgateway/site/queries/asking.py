"""How a question to the site's own GraphQL is asked for a caller: only of a release that answers it, and what a refusal means.

A failure is that question's own: it says nothing of the site's health, and nothing of the release that answers there. The
site's words are passed on without SQL, places and tokens (``errors.redact``).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from ccgateway.errors import Code, SiteError, forget_frames
from ccgateway.site.base import Site
from ccgateway.site.exchange import CallContext
from ccgateway.site.releases import Dialect
from ccgateway.site.releases.query import Complaint, QueryFailedError, QueryReply

__all__ = ["BEYOND_THE_END", "Question", "ask", "ask_in_parts", "refused_by"]

T = TypeVar("T")

#: how releases word that the token's holder may not ask
_REFUSALS = re.compile(r"forbidden|not allowed|not authorized|you need to be|no or unknown roles", re.IGNORECASE)
#: a slice beyond its end: a page past the last one, which releases panic at
BEYOND_THE_END = re.compile(r"slice bounds out of range")


@dataclass(frozen=True, slots=True)
class Question:
    """One document and its variables."""

    document: str
    variables: Mapping[str, object] = field(default_factory=dict)


async def ask(
    site: Site,
    context: CallContext,
    name: str,
    question: Callable[[Dialect], Question | SiteError],
    decoder: msgspec.json.Decoder[QueryReply[T]],
) -> T:
    """The data of the answer to ``question`` about ``name`` (a field of cc-backend's schema).

    Raises ``UNSUPPORTED`` where the site's release lacks it, ``SITE_UNAUTHORIZED`` where the site refuses the token, and what
    else the site came to.
    """

    async def asked(put: Question) -> T | SiteError:
        try:
            return await site.origin.query(context, put.document, put.variables, decoder)
        except QueryFailedError as failed:
            forget_frames(failed)
            return refused_by(site.name, name) if any(map(_REFUSALS.search, failed.reasons)) else failed

    return await _in_dialect(site, context, name, question, asked)


async def ask_in_parts(
    site: Site,
    context: CallContext,
    name: str,
    question: Question,
    decoder: msgspec.json.Decoder[QueryReply[dict[str, T | None]]],
) -> list[T | SiteError | None]:
    """As ``ask``, for a document of one field for each of its variables, under the variable's name, each of which may be null on
    its own: what each came to, in their order."""

    async def asked(put: Question) -> list[T | SiteError | None] | SiteError:
        reply = await site.origin.query_reply(context, put.document, put.variables, decoder)
        if reply.data is None:
            return QueryFailedError(reply.errors, site.name)
        failed = {str(one.path[0]): one for one in reply.errors or () if one.path}
        if any(one.path is None for one in reply.errors or ()):  # it may be about any of them
            return QueryFailedError(reply.errors, site.name)
        return [_part(failed.get(key), reply.data.get(key)) for key in put.variables]

    def _part(failure: Complaint | None, value: T | None) -> T | SiteError | None:
        if failure is None:
            return value
        return refused_by(site.name, name) if _REFUSALS.search(failure.message) else QueryFailedError([failure], site.name)

    return await _in_dialect(site, context, name, lambda _: question, asked)


async def _in_dialect(
    site: Site,
    context: CallContext,
    name: str,
    question: Callable[[Dialect], Question | SiteError],
    asked: Callable[[Question], Awaitable[T | SiteError]],
) -> T:
    async def in_its(dialect: Dialect) -> T | SiteError:
        if name not in dialect.answers:
            return SiteError(Code.UNSUPPORTED, site.name, f"Release {dialect.name} of the site does not answer {name}.")
        put = question(dialect)
        return put if isinstance(put, SiteError) else await asked(put)

    found = await site.origin.in_dialect(context, in_its)
    if isinstance(found, SiteError):
        raise found
    return found


def refused_by(site: str, name: str) -> SiteError:
    """The site refuses what was asked for by that token."""
    return SiteError(Code.SITE_UNAUTHORIZED, site, f"The site does not answer {name} to the token that it was shown.")
