"""Which requests of a site go wrong, and how.

:class:`Faults` holds the :class:`Rule`\\ s of one site; the ways of failing themselves are in :mod:`misbehaviour`.

:meth:`~Faults.hang` :meth:`~Faults.hang_mid_body` :meth:`~Faults.reset` :meth:`~Faults.close` :meth:`~Faults.status`
:meth:`~Faults.html` :meth:`~Faults.empty` :meth:`~Faults.error_object` :meth:`~Faults.doubled` :meth:`~Faults.garbage`
:meth:`~Faults.truncated` :meth:`~Faults.slow` :meth:`~Faults.drip` :meth:`~Faults.huge` :meth:`~Faults.gzip_bomb`
:meth:`~Faults.redirect` :meth:`~Faults.vanish`; for writes :meth:`~Faults.write`, which says whether the site acted.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from http import HTTPStatus
from typing import Literal

from ccgateway.simulator import misbehaviour as how
from ccgateway.simulator.messages import HTML, JSON, TEXT, Request, Response, json_error, json_response
from ccgateway.simulator.misbehaviour import Fault

__all__ = ["Fault", "Faults", "Rule", "WriteFault", "writes"]

Body = Literal["json", "html", "text", "empty"]
_PAGE = b"<!DOCTYPE html>\n<html><body><h1>Something went wrong</h1></body></html>\n"


_WRITING = re.compile(
    r"/api/(?:jobs/(?:start_job|stop_job|tag_job|edit_meta|delete_job|delete_job_before)/|tags/|users/|user/|nodestate/|write)"
)


def writes(request: Request) -> bool:
    """Whether a request is one that changes something (if the site lets it)."""
    if request.path == "/query":
        return re.search(rb"\bmutation\b", request.body) is not None
    return request.method not in {"GET", "HEAD"} and _WRITING.match(request.path) is not None


class WriteFault(Enum):
    """What can go wrong with a write; each says whether the site :attr:`acts` on it all the same.

    A refused connection is not among them, for it is no request's fate: :meth:`Faults.vanish`,
    :meth:`~ccgateway.simulator.serve.Address.refusing`.
    """

    RESET_BEFORE = "the connection is reset before the site acts"
    RESET_AFTER = "the site acts, then resets the connection"
    TIMEOUT_BEFORE = "the site neither acts nor answers"
    TIMEOUT_AFTER = "the site acts and never answers"
    ERROR_BEFORE = "the site answers 500 and does not act"
    ERROR_AFTER = "the site acts and answers 500"
    EMPTY_BEFORE = "the site answers 200 with nothing and does not act"
    EMPTY_AFTER = "the site acts and answers 200 with nothing"
    HELD = "the site acts and answers only once the rule is released"

    @property
    def acts(self) -> bool:
        """Whether the write takes effect (a held one does so later)."""
        return not self.name.endswith("BEFORE")


@dataclass(slots=True)
class Rule:
    """Requests that meet ``fault``, ``left`` more times (None: until cleared).

    ``path`` is looked for in path and query, ``body`` in the body; None: any. ``hits`` counts.
    """

    fault: Fault
    path: re.Pattern[str] | None
    left: int | None
    method: str | None = None
    body: re.Pattern[str] | None = None
    only_writes: bool = False
    acts: bool | None = None  #: whether the site acts on the request; None: as the fault has it
    hits: int = field(default=0, init=False)
    struck: asyncio.Event = field(default_factory=asyncio.Event, init=False)  #: set once a request has met its fate

    def takes(self, request: Request) -> bool:
        """Whether this request meets the fault; counts if so."""
        if self.left == 0 or not self._fits(request):
            return False
        self.hits += 1
        if self.left is not None:
            self.left -= 1
        return True

    def lets_act(self) -> bool:
        return self.fault.acts if self.acts is None else self.acts

    def release(self) -> None:
        """Let what is held go on."""
        if not isinstance(self.fault, how.Held):
            raise TypeError("nothing is held by this rule")
        self.fault.release()

    def _fits(self, request: Request) -> bool:
        if self.only_writes and not writes(request):
            return False
        return (
            self.method in {None, request.method}
            and (self.path is None or self.path.search(request.target) is not None)
            and (self.body is None or self.body.search(request.body.decode(errors="replace")) is not None)
        )


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

    def due(self, request: Request) -> Rule | None:
        """The rule whose fault a request meets, if any."""
        self.seen += 1
        return next((r for r in self.rules if r.takes(request)), None)

    def write(
        self,
        fault: WriteFault,
        *,
        method: str | None = None,
        path: str | None = None,
        body: str | None = None,
        times: int | None = 1,
    ) -> Rule:
        """Let writes go wrong: the next one, or the next *times* (None: all) of *method* whose path and body match.

        *body* tells mutations apart, which all have one path. :meth:`Rule.release` lets a held write go on.
        """
        happens = _HAPPENS[fault]()
        rule = Rule(
            happens,
            None if path is None else re.compile(path),
            times,
            method,
            None if body is None else re.compile(body),
            only_writes=True,
            acts=None if fault is WriteFault.HELD else fault.acts,
        )
        self.rules.append(rule)
        return rule

    def vanish(self, *, path: str | None = None) -> Rule:
        """Answer one request, and then be gone: connections are refused until the address is started again."""
        return self.add(how.Vanish(), path=path, times=1)

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


_HAPPENS: dict[WriteFault, Callable[[], Fault]] = {
    WriteFault.RESET_BEFORE: lambda: how.Reset(mid_body=False),
    WriteFault.RESET_AFTER: lambda: how.Reset(mid_body=False),
    WriteFault.TIMEOUT_BEFORE: how.Hang,
    WriteFault.TIMEOUT_AFTER: how.Hang,
    WriteFault.ERROR_BEFORE: lambda: how.Replaced(_refusal(500, "json")),
    WriteFault.ERROR_AFTER: lambda: how.Replaced(_refusal(500, "json")),
    WriteFault.EMPTY_BEFORE: lambda: how.Replaced(Response(200)),
    WriteFault.EMPTY_AFTER: lambda: how.Replaced(Response(200)),
    WriteFault.HELD: how.Held,
}


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
