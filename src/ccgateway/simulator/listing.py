"""The job list: ``GET …/jobs/``.

:func:`list_jobs` is the handler; :class:`Ask` is a list request once its parameters have been read and found good.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from ccgateway.simulator.archive import entry
from ccgateway.simulator.call import Call
from ccgateway.simulator.gate import Rows, rows_of
from ccgateway.simulator.job import Job
from ccgateway.simulator.messages import GoError, Response, json_error, json_response, parse_int
from ccgateway.simulator.release import Meaning, Release, Tie
from ccgateway.simulator.shapes import Shape
from ccgateway.simulator.source import FOREVER, Selection

if TYPE_CHECKING:
    from ccgateway.simulator.backend import Backend

__all__ = ["list_jobs"]


class Page(msgspec.Struct):
    """The answer; ``items`` echoes the page size asked for."""

    jobs: list[Shape]
    items: int
    page: int


class BadParameterError(Exception):
    """Answered with 400 and this message."""


@dataclass(slots=True)
class Ask:
    """A list request."""

    page: int = 1
    items: int = 25
    metadata: bool = False
    earliest: int = -FOREVER
    latest: int = FOREVER
    equals: dict[Meaning, str] = field(default_factory=dict)
    states: set[str] = field(default_factory=set)
    nodes_from: int | None = None

    @classmethod
    def read(cls, parameters: list[tuple[str, str]], release: Release) -> Ask:
        """Read the query.

        Raises:
            BadParameterError: for a key or a value the release refuses.
        """
        ask = cls(metadata=release.lists_metadata)
        seen: set[Meaning] = set()
        for key, value in parameters:
            meaning = release.parameters.get(key)
            if meaning is None:
                raise BadParameterError(f"invalid query parameter: {key}")
            if meaning in seen and meaning is not Meaning.STATE:
                continue  # the first value counts
            seen.add(meaning)
            try:
                ask._take(meaning, value, release)
            except GoError as bad:
                raise BadParameterError(str(bad)) from bad
        return ask

    def _take(self, meaning: Meaning, value: str, release: Release) -> None:  # noqa: PLR0912  one branch a key
        match meaning:
            case Meaning.STATE:
                if value not in release.states:
                    raise BadParameterError("invalid query parameter value: state")
                self.states.add(value)
            case Meaning.WINDOW:
                ends = value.split("-")
                if len(ends) != 2:
                    raise BadParameterError("invalid query parameter value: startTime")
                self.earliest, self.latest = (parse_int(end) for end in ends)
            case Meaning.FROM:
                self.earliest = parse_int(value)
            case Meaning.UNTIL:
                self.latest = parse_int(value)
            case Meaning.NODES_FROM:
                self.nodes_from = parse_int(value)
            case Meaning.PAGE:
                self.page = parse_int(value, "Atoi")
                if release.strict_paging and self.page < 1:
                    raise BadParameterError("page must be >= 1")
            case Meaning.ITEMS:
                self.items = parse_int(value, "Atoi")
                if release.strict_paging and self.items < 1:
                    raise BadParameterError("items-per-page must be >= 1")
            case Meaning.METADATA:
                self.metadata = True
            case _:
                self.equals[meaning] = value

    def selection(self, owner: str | None) -> Selection:
        """The rows asked for, of *owner* if only own ones are shown."""
        user = self.equals.get(Meaning.USER)
        if owner is not None:
            user = owner if user in {None, owner} else ""  # both conditions must hold, and nobody is called ""
        return Selection(
            earliest=self.earliest,
            latest=self.latest,
            cluster=self.equals.get(Meaning.CLUSTER),
            project=self.equals.get(Meaning.PROJECT),
            user=user,
            states=frozenset(self.states) or None,
            nodes_from=self.nodes_from,
        )


def list_jobs(call: Call) -> Response:
    """One page."""
    backend, who, release = call.backend, call.who, call.release
    try:
        ask = Ask.read(call.request.parameters, release)
    except BadParameterError as bad:
        return json_error(400, str(bad))
    rows = rows_of(release, who)
    if rows is Rows.NONE:
        return json_error(500, "user has no or unknown roles")
    jobs = _page(backend, ask, ask.selection(who.subject if rows is Rows.OWN else None))
    lost = next((j for j in jobs if j.id in backend.broken_archives), None) if backend.broken_archives else None
    if lost is not None:
        return json_error(500, _lost(lost))
    view = backend.view(who, metadata=ask.metadata)
    return json_response(Page(list(map(view.listed, jobs)), ask.items, ask.page), jobs=len(jobs))


def _page(backend: Backend, ask: Ask, wanted: Selection) -> list[Job]:
    """Older releases let page numbers and sizes below 1 through to the database, where most of them find nothing."""
    everything = ask.items == -1
    if not everything and (ask.page < 1 or ask.items < 1):
        return []
    return backend.jobs.select(
        wanted,
        0 if everything else (ask.page - 1) * ask.items,
        None if everything else ask.items,
        _tie(wanted, backend.release),
    )


def _tie(wanted: Selection, release: Release) -> Tie:
    ties = release.ties
    if wanted.cluster is not None:
        return ties.cluster
    if wanted.project is not None or wanted.user is not None:
        return ties.owner
    if wanted.states is not None:
        return ties.one_state if len(wanted.states) == 1 else ties.several_states
    return ties.otherwise


def _lost(job: Job) -> str:
    return f"open ./var/job-archive/{entry(job)}/meta.json: no such file or directory"
