"""Lists of jobs: this gateway next to others, on one core each."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from benchmarks.contestants import LONG, Question, contestants
from benchmarks.processes import NO_CACHE, ours, prepared
from benchmarks.table import Entry, measure

__all__ = ["lists_of_jobs"]

BOTH = ("aurora", "borealis")
QUESTIONS = {
    "2 sites × 500 jobs, merged into one list of 1000": Question(BOTH, 1000),
    "the same with 16 fields, tags and hosts": Question(BOTH, 1000, LONG),
    "the newest 500 of 2 sites (Tailcall, bare: 500 of each)": Question(BOTH, 500),
    "500 jobs of one site": Question(("aurora",), 500),
    "500 jobs of one site, 16 fields, tags and hosts": Question(("aurora",), 500, LONG),
    "16 jobs of one site": Question(("aurora",), 16),
    "16 jobs of one site, 16 fields, tags and hosts": Question(("aurora",), 16, LONG),
    "the newest 16 of 2 sites (Tailcall, bare: 16 of each)": Question(BOTH, 16),
}


async def lists_of_jobs(*, rounds: int, seconds: float) -> None:
    """Prints the tables. The sites have 500 jobs each."""
    print("\n### Lists of jobs\n")
    with ExitStack() as stack:
        sites = [
            stack.enter_context(prepared(jobs=500, release="1.5", cluster="aurora")),
            stack.enter_context(prepared(jobs=500, release="1.4", cluster="borealis", seed=2)),
        ]
        us, *others = contestants()
        cold, warm = stack.enter_context(ours(sites, cache=NO_CACHE)), stack.enter_context(ours(sites))
        served = [(one, stack.enter_context(one.serve(sites))) for one in others]
        for title, question in QUESTIONS.items():
            entries = [
                Entry(us, cold, partial(_same, question), "ccgateway, cache off"),
                Entry(us, warm, partial(_same, question), "ccgateway"),
                *(Entry(one, gateway, partial(_same, question)) for one, gateway in served),
            ]
            await measure(title, entries, rounds=rounds, seconds=seconds)


def _same(question: Question) -> Question:
    return question
