"""What a site's answer means: the JSON that was asked for, a refusal, or a failure in disguise.

cc-backend fails in many forms: JSON and plain-text errors, HTML pages, 200 with an empty body, 200 with an error object, two JSON
documents in one body. Each becomes either plain bytes of one JSON document or a ``SiteError``.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from ccgateway.errors import Code, SiteError, redact, without_tokens
from ccgateway.site.exchange import SiteAnswer

__all__ = ["NO_SUCH_JOB", "busy", "check_text", "decode", "disguised_failure", "no_such_job", "reason_of", "refuse"]

T = TypeVar("T")

#: what decoding JSON raises: msgspec's own errors, and for broken text and abysmal nesting Python's
NOT_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Reason(msgspec.Struct):
    error: str | dict[str, Any] | None = None
    message: str | None = None
    msg: str | None = None


def busy(answer: SiteAnswer, site: str) -> SiteError:
    """What an answer means by which the site, or what stands before it, says that it has too much to do."""
    message = f"The site is busy or its proxy cannot reach it (HTTP {answer.status})."
    return SiteError(Code.SITE_BUSY, site, message, retry_after=answer.retry_after)


def reason_of(answer: SiteAnswer) -> str:
    """The site's own reason for its error answer, fit to be shown; empty if it gave none."""
    head = answer.body[:_REASON_BYTES].decode("utf-8", "replace").encode()
    if answer.media_type == "text/html" or _MARKUP.match(head):
        return ""
    try:
        found, _ = _first(head, _REASON)
    except NOT_JSON:
        return redact(head.decode())
    error = found.error.get("message") if isinstance(found.error, dict) else found.error
    return redact(str(error or found.message or found.msg or ""))


#: an error answer says what it has to say in its first bytes
_REASON_BYTES = 16_384
_REASON = msgspec.json.Decoder(_Reason)
_TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")


def _first(body: bytes, decoder: msgspec.json.Decoder[T]) -> tuple[T, bytes]:
    """The first JSON document of ``body``, decoded and as it stands there: cc-backend sometimes sends two."""
    try:
        return decoder.decode(body), body
    except msgspec.DecodeError as error:
        more = _TRAILING.search(str(error))
        if more is None or isinstance(error, msgspec.ValidationError):
            raise
        first = body[: int(more[1]) - 1]  # counted from 1
        return decoder.decode(first), first


#: the same words for a job that is not there and one that may not be seen
NO_SUCH_JOB = "Site {site} has no such job, or does not show it."


def no_such_job(site: str, hint: str = "", *, retryable: bool = False) -> SiteError:
    """The error for a job that is not there, or may not be seen. ``hint``: what else there is to say."""
    return SiteError(Code.NOT_FOUND, site, NO_SUCH_JOB.format(site=site) + hint, retryable=retryable)


def refuse(answer: SiteAnswer, site: str) -> SiteError:
    """The error that an answer without success stands for."""
    status, reason = answer.status, reason_of(answer)
    words = f": {reason}" if reason else "."
    if status in (401, 403):
        return SiteError(Code.SITE_UNAUTHORIZED, site, f"The site refuses the gateway's token (HTTP {status}){words}")
    if 300 <= status < 400:
        target = without_tokens(answer.location or "nowhere", limit=120)
        message = f"The site redirects to {target}; tokens are not sent on. Configure the final URL."
        return SiteError(Code.BAD_ANSWER, site, message)
    if status in (404, 405):
        return SiteError(Code.WRONG_RELEASE, site, f"The site does not know this endpoint (HTTP {status}){words}")
    if status >= 500:
        return SiteError(Code.SITE_ERROR, site, f"The site failed (HTTP {status}){words}")
    return SiteError(Code.SITE_REFUSED, site, f"The site refuses the question (HTTP {status}){words}")


#: what is in numbers, and characters of one that are too many: Go writes a double in 313 at the most
_OF_NUMBERS, _BOUNDLESS = b"0123456789+-.eE", 2048
_NUMBER = re.compile(rb"[0-9+\-.eE]*+")


def check_text(body: bytes, *, is_ascii: bool | None = None) -> None:
    """Sees to it that a body of JSON, parts of which are passed on unread, is UTF-8 and has no boundless numbers.

    msgspec sees to the rest, but passes both of these by in what it does not decode. Raises what decoding raises. Looks at one
    comma of each ``_BOUNDLESS`` bytes, and closer only where there is none. ``is_ascii``: where that is known.
    """
    if not (body.isascii() if is_ascii is None else is_ascii):
        body.decode()
    rfind, start, last = body.rfind, 0, len(body) - _BOUNDLESS
    while start <= last:
        comma = rfind(b",", start, start + _BOUNDLESS)
        if comma >= 0:
            start = comma + 1
            continue
        if _NUMBER.fullmatch(body, start, start + _BOUNDLESS):
            before = body[max(0, start - _BOUNDLESS) : start].rstrip(_OF_NUMBERS)
            start = body.find(b'"', start) if before.endswith(b'"') else -1  # a text of digits goes on to its end
            if start < 0:
                raise msgspec.DecodeError(f"a number has more than {_BOUNDLESS} characters")
        else:
            start += _BOUNDLESS


def decode(answer: SiteAnswer, decoder: msgspec.json.Decoder[T], site: str) -> T:
    """The decoded body of a 2xx answer; ``SiteError`` for any other status and for a body that is not what was asked for."""
    if not 200 <= answer.status < 300:
        raise refuse(answer, site)
    try:
        found, document = _first(answer.body, decoder)
        check_text(document)
    except NOT_JSON as error:
        if _BLANK.fullmatch(answer.body):
            raise SiteError(Code.BAD_ANSWER, site, "The site sent an empty answer: it failed without saying why.") from None
        if answer.media_type == "text/html" or _MARKUP.match(answer.body):
            message = "The site sent a web page, not data: is this the address of a cc-backend?"
            raise SiteError(Code.BAD_ANSWER, site, message) from None
        raise _misfit(answer, error, site) from None
    return found


def disguised_failure(answer: SiteAnswer, site: str) -> SiteError | None:
    """The failure in an answer with HTTP 200 that is empty, or an error and nothing else; ``None`` in any other."""
    if answer.status != 200 or len(answer.body) > _REASON_BYTES:
        return None
    if _BLANK.fullmatch(answer.body):
        return SiteError(Code.BAD_ANSWER, site, "The site sent an empty answer: it failed without saying why.")
    reason = _disguised(answer) if b'"error"' in answer.body else ""
    return SiteError(Code.SITE_ERROR, site, f"The site failed, though it says HTTP 200: {reason}") if reason else None


_BLANK, _MARKUP = re.compile(rb"\s*"), re.compile(rb"\s*<")


def _misfit(answer: SiteAnswer, error: Exception, site: str) -> SiteError:
    if isinstance(error, msgspec.ValidationError):
        if reason := _disguised(answer):
            return SiteError(Code.SITE_ERROR, site, f"The site failed, though it says HTTP {answer.status}: {reason}")
        return SiteError(Code.WRONG_RELEASE, site, f"The site's answer does not fit its release: {redact(str(error))}")
    return SiteError(Code.BAD_ANSWER, site, f"The site's answer is not complete JSON: {redact(str(error))}")


def _disguised(answer: SiteAnswer) -> str:
    try:
        found, _ = _first(answer.body[:_REASON_BYTES], _REASON)
    except NOT_JSON:
        return ""
    return reason_of(answer) if found.error else ""
