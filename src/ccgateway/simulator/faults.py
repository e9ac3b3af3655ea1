"""Which requests of a site go wrong, and how.

:class:`Faults` holds the :class:`Rule`\\ s of one site; the ways of failing themselves are in :mod:`misbehaviour`.

:meth:`~Faults.hang` :meth:`~Faults.hang_mid_body` :meth:`~Faults.reset` :meth:`~Faults.close` :meth:`~Faults.status`
:meth:`~Faults.html` :meth:`~Faults.empty` :meth:`~Faults.error_object` :meth:`~Faults.doubled` :meth:`~Faults.garbage`
:meth:`~Faults.truncated` :meth:`~Faults.slow` :meth:`~Faults.drip` :meth:`~Faults.huge` :meth:`~Faults.gzip_bomb`
:meth:`~Faults.redirect`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Literal

from ccgateway.simulator import misbehaviour as how
from ccgateway.simulator.messages import HTML, JSON, TEXT, Response, json_error, json_response
from ccgateway.simulator.misbehaviour import Fault

__all__ = ["Fault", "Faults", "Rule"]

Body = Literal["json", "html", "text", "empty"]
_PAGE = b"<!DOCTYPE html>\n<html><body><h1>Something went wrong</h1></body></html>\n"


@dataclass(slots=True)
class Rule:
    """Requests whose path and query match ``path`` meet ``fault``, ``left`` more times (None: until cleared)."""

    fault: Fault
    path: re.Pattern[str] | None
    left: int | None
    hits: int = 0

    def takes(self, target: str) -> bool:
        """Whether this request meets the fault; counts if so."""
        if self.left == 0 or (self.path is not None and self.path.search(target) is None):
            return False
        self.hits += 1
        if self.left is not None:
            self.left -= 1
        return True


class Faults:
    """What goes wrong at one site. The rule added first takes a request first.

    Every method takes *path*, a regular expression looked for in path and query (None: every request), and *times*, how
    many requests fail (None: all until :meth:`clear`), and answers the rule, whose ``hits`` count.
    """

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.seen = 0  #: requests, whether they failed or not

    def add(self, fault: Fault, *, path: str | None = None, times: int | None = None) -> Rule:
        """Let requests meet *fault*."""
        rule = Rule(fault, None if path is None else re.compile(path), times)
        self.rules.append(rule)
        return rule

    def clear(self) -> None:
        """From now on all is well (requests that hang already go on hanging)."""
        self.rules.clear()

    def due(self, target: str) -> Fault | None:
        """The fault a request meets, if any."""
        self.seen += 1
        rule = next((r for r in self.rules if r.takes(target)), None)
        return None if rule is None else rule.fault

    def hang(self, *, path: str | None = None, times: int | None = None) -> Rule:
        """Accept the request and never answer."""
        return self.add(how.Hang(), path=path, times=times)

    def hang_mid_body(self, *, path: str | None = None, times: int | None = None) -> Rule:
        """Send half the body and then nothing."""
        return self.add(how.HangMidBody(), path=path, times=times)

    def reset(self, *, mid_body: bool = False, path: str | None = None, times: int | None = None) -> Rule:
        """Reset the connection, before answering or half-way."""
        return self.add(how.Reset(mid_body), path=path, times=times)

    def close(self, *, path: str | None = None, times: int | None = None) -> Rule:
        """Close the connection without an answer."""
        return self.add(how.Close(), path=path, times=times)

    def status(
        self,
        status: int,
        *,
        body: Body = "json",
        retry_after: str | int | None = None,
        path: str | None = None,
        times: int | None = None,
    ) -> Rule:
        """Answer with *status*."""
        response = _refusal(status, body)
        if retry_after is not None:
            response = replace(response, headers=(*response.headers, ("retry-after", str(retry_after))))
        return self.add(how.Replaced(response), path=path, times=times)

    def html(self, *, path: str | None = None, times: int | None = None) -> Rule:
        """Answer 200 with a web page."""
        return self.add(how.Replaced(Response(200, _PAGE, (("content-type", HTML),))), path=path, times=times)

    def empty(self, *, path: str | None = None, times: int | None = None) -> Rule:
        """Answer 200 with nothing, as cc-backend does when it cannot load metrics."""
        return self.add(how.Replaced(Response(200)), path=path, times=times)

    def error_object(self, message: str = "something went wrong", *, path: str | None = None, times: int | None = None) -> Rule:
        """Answer 200 with ``{"data": null, "error": {"message": …}}``."""
        answer = json_response({"data": None, "error": {"message": message}})
        return self.add(how.Replaced(answer), path=path, times=times)

    def doubled(self, *, path: str | None = None, times: int | None = None) -> Rule:
        """Send the right document twice in one body."""
        return self.add(how.Doubled(), path=path, times=times)

    def garbage(self, *, path: str | None = None, times: int | None = None) -> Rule:
        """Answer 200 with bytes that are no JSON, nor UTF-8, though they say so."""
        answer = Response(200, b'{"jobs":[\xff\xfe\x00 }' * 8, (("content-type", JSON),))
        return self.add(how.Replaced(answer), path=path, times=times)

    def truncated(self, *, chunked: bool = False, path: str | None = None, times: int | None = None) -> Rule:
        """Send half of what Content-Length says, or chunks without an end, and close."""
        return self.add(how.Truncated(chunked), path=path, times=times)

    def slow(self, seconds: float, *, path: str | None = None, times: int | None = None) -> Rule:
        """Answer after *seconds*."""
        return self.add(how.Slow(seconds), path=path, times=times)

    def drip(self, *, size: int = 1, interval: float = 0.05, path: str | None = None, times: int | None = None) -> Rule:
        """Send *size* bytes every *interval* seconds."""
        return self.add(how.Drip(size, interval), path=path, times=times)

    def huge(
        self, size: int | None = 2**31, *, announced: bool = True, path: str | None = None, times: int | None = None
    ) -> Rule:
        """Send *size* bytes (None: without end), *announced* by Content-Length or not."""
        return self.add(how.Huge(size, announced and size is not None), path=path, times=times)

    def gzip_bomb(self, size: int = 2**31, *, path: str | None = None, times: int | None = None) -> Rule:
        """Send a body that unpacks to *size* bytes."""
        return self.add(how.GzipBomb(size), path=path, times=times)

    def redirect(self, base: str, *, status: int = 302, path: str | None = None, times: int | None = None) -> Rule:
        """Send the caller to *base*, another host."""
        return self.add(how.Redirect(base, status), path=path, times=times)


def _refusal(status: int, body: Body) -> Response:
    phrase = HTTPStatus(status).phrase
    match body:
        case "json":
            return json_error(status, f"simulated: {phrase}")
        case "html":
            return Response(status, _PAGE, (("content-type", HTML),))
        case "text":
            return Response(status, f"{phrase}\n".encode(), (("content-type", TEXT),))
        case "empty":
            return Response(status)
