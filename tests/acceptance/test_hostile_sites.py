"""A hostile site harms its own answers only: whatever bytes it sends, wherever, every answer of the gateway is JSON in UTF-8, the
healthy site's part is whole, and nothing that moves a terminal's cursor comes into messages, logs, audit lines or the console."""

from __future__ import annotations

import io
import itertools
import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from acceptance.hostile import HEALTHY, REFUSED, RELEASES, SPOILED, UNSEEN, UNUSUAL, Front, HostileSite, front, healthy_jobs
from ccgateway.errors import Code
from ccgateway.operations.check import check
from ccgateway.operations.rendering import as_json, show
from ccgateway.settings import Settings
from ccgateway.site.exchange import SiteAnswer
from ccgateway.telemetry import configure_logging

#: what must reach nobody's terminal: controls but the line's end, marks of direction, what nobody sees
_UNSEEN = re.compile("[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ud800-\\udfff]")


@dataclass(frozen=True)
class Case:
    """A hostile value, by its name, and where it stands."""

    value: str
    place: str
    there: bytes
    put: bytes


def cases(places: Mapping[str, tuple[bytes, bytes]], values: Mapping[str, bytes], every: int) -> Iterator[Case]:
    """Each value at some of the places, one in ``every``; ``@`` stands for it."""
    for (i, (place, (there, put))), (j, (name, value)) in itertools.product(enumerate(places.items()), enumerate(values.items())):
        if (i + j) % every == 0:
            yield Case(name, place, there, put.replace(b"@", value))


def rounds(front: Front, cases: Iterable[Case]) -> Iterator[Mapping[str, Case]]:
    """The cases, as many at once as there are sites: which case each site is now, by its name."""
    left = iter(cases)
    while several := list(zip(front.sites.values(), left, strict=False)):
        for site, case in several:
            site.put(case.there, case.put)
        yield {site.name: case for site, case in several}
        for site, _ in several:
            site.put(b"", b"")


# --- lists

JOBS = """query($since: Time) { jobs(first: 1000, filter: [{startTime: {from: $since}}]) { items { id site jobId user
    project cluster subCluster partition state shared
    energy duration walltime numNodes tags { id type name scope } resources { hostname hwthreads accelerators configuration }
    footprint { name stat value } metaData } complete sites { site status code message notes } } }"""
FACES = {
    "GraphQL": "",
    "how-to": "/api/jobs/?with_metadata=true&items_per_page=1000&startTime[from]=",
    "released": "/cc-backend/1.5/api/jobs/?with-metadata=true&items-per-page=1000&start-time=",
}
#: what stands in a row, and what is put there
TEXTS = {
    "job name": (b'"a job"', b"@"), "host": (b'"n001"', b"@"), "tag": (b'"mark"', b"@"), "tag type": (b'"kind"', b"@"),
    "user": (b'"mallory"', b"@"), "project": (b'"p_a"', b"@"), "state": (b'"completed"', b"@"),
    "cluster": (b'"cluster":"mine"', b'"cluster":@'), "sub-cluster": (b'"subCluster":"main"', b'"subCluster":@'),
    "partition": (b'"partition":"main"', b'"partition":@'),
}  # fmt: skip
PLACES = TEXTS | {
    "metadata": (b'{"jobName":"a job"}', b"@"), "statistics": (b'"statistics":null', b'"statistics":@'),
    "resources": (b'[{"hostname":"n001"}]', b"@"),
    "hardware threads": (b'{"hostname":"n001"}', b'{"hostname":"n001","hwthreads":[@]}'),
    "footprint": (b'"footprint":{"load_avg":1.5}', b'"footprint":@'), "a footprint": (b'{"load_avg":1.5}', b'{"load_avg":@}'),
    "energy": (b'"energy":0.0', b'"energy":@'), "what nobody knows": (b'"concurrentJobs":', b'"unheard":@,"concurrentJobs":'),
    "number": (b'"id":1,', b'"id":@,'), "duration": (b'"duration":600', b'"duration":@'),
}  # fmt: skip
#: releases up to 1.3 do not have them
SINCE_1_4 = frozenset({"footprint", "a footprint", "energy"})


async def list_of(front: Front, face: str, since: int = 1) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """The jobs, and how each site fares where one is missing."""
    if face == "GraphQL":
        answer = (await front.ask(JOBS, since=f"1970-01-01T00:00:{since:02}Z"))["data"]["jobs"]
        return answer["items"], {site["site"]: site for site in answer["sites"]}
    answer = await front.get(f"{FACES[face]}{since}{'-9999999999' if face == 'released' else ''}")
    return answer["jobs"], answer.get("sites", {})


async def test_whatever_stands_in_a_list_every_face_gives_json_and_the_healthy_jobs() -> None:
    hostile = [*cases(PLACES, SPOILED, 6), *cases(TEXTS, UNSEEN, 4), *cases(PLACES, UNUSUAL, 3)]
    seen = set()
    async with front([HostileSite(RELEASES[number % 5]) for number in range(25)]) as one:
        for number, now in enumerate(rounds(one, hostile)):
            for face, _ in itertools.product(FACES, ("cold", "warm")):
                jobs, states = await list_of(one, face, 1 + number)
                assert healthy_jobs(jobs) == 5, face
                shown = {job["jobId"] - 70_000: job for job in jobs}
                for name, case in now.items():
                    site, state = one.sites[name], states.get(name, {})
                    code = state.get("code")
                    if not site.has_put:
                        assert case.place in SINCE_1_4
                        continue
                    seen.add(case.place)
                    assert (site.number in shown) == (code is None), (face, case, state)
                    if case.value in SPOILED:
                        assert code in REFUSED, (face, case, state)
                    assert code in ((None,) if case.value in UNSEEN else (None, *REFUSED)), (face, case, state)
                    if case.place == "user" and case.value in UNSEEN:
                        assert shown[site.number]["user"] == json.loads(UNSEEN[case.value])
                    assert not _UNSEEN.search(state.get("message") or ""), case
                assert all(job["id"] < 2**63 for job in jobs if isinstance(job["id"], int))
    assert seen == PLACES.keys()


# --- metrics

METRICS = """query($first: Int) { jobs(first: $first) { items { site metrics { name scope metric { unit { base prefix } timestep
    series { hostname id statistics { avg min max } data } statisticsSeries { mean median min max } } } } } }"""
SAMPLES = {
    "samples": (b'"data":[1.0,null,2.5]', b'"data":[1.0,@]'), "host": (b'"n001"', b"@"), "unit": (b'"base":""', b'"base":@'),
    "statistics": (b'"avg":2.5', b'"avg":@'), "metric": (b'"name":"load"', b'"name":@'),
    "samples of all": (b'"timestep":60', b'"timestep":60,"statisticsSeries":{"mean":[@],"median":[],"min":[],"max":[]}'),
}  # fmt: skip
#: of metrics so large that samples are cut out unread
CUT = {"samples": (b"7.25,7.25,7.25]", b"7.25,@]")}
#: what in place of a sample is not looked at where an answer is one job's alone
NO_SAMPLES = {
    "nothing": b"", "a word": b"x", "two signs": b"--5", "two commas": b"1,,2", "a bare ESC": b"\x1bc", "a bare NUL": b"\x00",
    "a bare byte": b"\x80",
}  # fmt: skip


@pytest.mark.parametrize(
    ("is_large", "hostile"),
    [(False, [*cases(SAMPLES, SPOILED | UNUSUAL, 4)]), (True, [*cases(CUT, SPOILED | NO_SAMPLES, 1)])],
    ids=["small", "large"],
)  # fmt: skip
async def test_whatever_stands_in_metrics_the_answer_is_json_with_the_healthy_jobs_metrics(
    is_large: bool,
    hostile: list[Case],
) -> None:
    async with front([HostileSite(RELEASES[number % 4], is_large) for number in range(24)], cache={"memory_bytes": 0}) as one:
        for number, now in enumerate(rounds(one, hostile)):
            answer = await one.ask(METRICS, first=100 + number)
            found = {job["site"]: job["metrics"] for job in answer["data"]["jobs"]["items"]}
            codes = {error["extensions"]["site"]: error["extensions"]["code"] for error in answer["errors"]}
            assert sorted(metric["name"] for metric in found.pop(HEALTHY)) == ["cpu_load", "mem_bw", "mem_bw"]
            for name, case in now.items():
                assert one.sites[name].has_put, case
                assert (found.get(name) is None) == (name in codes), case
                assert codes.get(name) in (REFUSED if case.value in SPOILED | NO_SAMPLES else (None, *REFUSED)), (case, codes)
            if is_large:
                continue
            for name in list(now)[::6]:
                db_id = 1000 + one.sites[name].number
                for path in (f"/api/jobs/metrics/{db_id}", f"/cc-backend/1.5/api/jobs/{db_id}?all-metrics=true"):
                    assert isinstance(await one.get(path), dict), now[name]


# --- clusters and users

BESIDE = {
    "cluster": (b'"name":"mine"', b'"name":@'), "metric": (b'"name":"load"', b'"name":@'), "unit": (b'"base":"F"', b'"base":@'),
    "user": (b'"username":"mallory"', b'"username":@'), "role": (b'["user"]', b"[@]"), "email": (b'"email":""', b'"email":@'),
}  # fmt: skip


async def test_whatever_stands_in_clusters_and_users_every_face_gives_json_and_the_healthy_ones() -> None:
    query = "{ clusters { site name partitions metricConfig { name unit { base } } } users { site username name email roles } }"
    hostile = [*cases(BESIDE, SPOILED, 6), *cases(BESIDE, UNSEEN, 6)]
    async with front([HostileSite("1.5") for _ in hostile]) as one:
        for now in rounds(one, hostile):
            for _ in ("cold", "warm"):
                found = (await one.ask(query))["data"]
                places = {kind: {row["site"] for row in rows} for kind, rows in found.items()}
                for face in ("/api", "/cc-backend/1.5/api"):
                    clusters, users = (await one.get(f"{face}/clusters/"))["clusters"], await one.get(f"{face}/users/")
                    assert "alex" in {row["name"] for row in clusters}
                    assert "alice" in {row["username"] for row in users}
                for name, case in now.items():
                    assert one.sites[name].has_put, case
                    kind = "clusters" if case.place in ("cluster", "metric", "unit") else "users"
                    assert HEALTHY in places[kind]
                    assert (name in places[kind]) == (case.value in UNSEEN), case


# --- what sites say when they refuse

WORDS = "ouch \x00\x1b[2J\x1b]0;title\x07 \x9b31m \u202eevil\u2066 \u2028\r\nroot: all is well"
FORMS = {
    "JSON": json.dumps({"status": "Bad", "error": WORDS}).encode(),
    "JSON of bytes": json.dumps({"error": WORDS}, ensure_ascii=False).encode(),
    "text": WORDS.encode(), "no text": b"\x80\xff\x1b[2J" + WORDS.encode("latin-1", "replace"),
    "an error of metrics": json.dumps({"data": None, "error": {"message": WORDS}}).encode(),
    "errors of GraphQL": json.dumps({"data": None, "errors": [{"message": WORDS}]}).encode(),
}  # fmt: skip
STATUSES = (200, 302, 400, 401, 404, 422, 429, 500, 503)


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What goes to stderr, as ``serve`` configures it, with everything that there is to log."""
    said, root = io.StringIO(), logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers = []
    monkeypatch.setattr("sys.stderr", said)
    configure_logging("debug")
    yield said
    root.handlers, root.level = before, level


def texts_of(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from itertools.chain.from_iterable(map(texts_of, (*value, *value.values())))
    elif isinstance(value, list):
        yield from itertools.chain.from_iterable(map(texts_of, value))


async def test_what_a_site_says_reaches_callers_logs_and_audit_lines_without_what_nobody_sees(
    logged: io.StringIO, tmp_path: Path
) -> None:
    hostile = [
        HostileSite(RELEASES[number % 5], always=SiteAnswer(status, "application/json", body, "https://\x9b31m"))
        for number, (status, body) in enumerate(itertools.product(STATUSES, FORMS.values()))
    ]
    audit = tmp_path / "audit.log"
    async with front(hostile, writes={"enabled": True, "audit_file": str(audit)}) as one:
        told: list[Any] = []
        for face in FACES:
            jobs, states = await list_of(one, face)
            assert healthy_jobs(jobs) == 5
            assert {state["code"] for name, state in states.items() if name != HEALTHY} <= set(Code)
            told += [jobs, states]
        told.append(await one.ask("{ clusters { name } users { username } tags { name } sites { name lastError { message } } }"))
        for site in list(one.sites.values())[::3]:
            told.append(await one.ask(f'{{ jobMetrics(id: "{site.name}:1") {{ name }} job(id: "{site.name}:1") {{ id }} }}'))
            number = 1000 + site.number
            for path in (f"/api/jobs/{number}", f"/cc-backend/1.5/api/jobs/metrics/{number}"):
                told.append(await one.get(path))
            answer = await one.client.post(f"/api/jobs/tag_job/{number}", json=[{"type": "a", "name": "b"}])
            assert answer.status_code >= 400
            told.append(json.loads(answer.content.decode()))
    assert not [text for text in texts_of(told) if _UNSEEN.search(text) or "\n" in text]
    lines = audit.read_text("utf-8").splitlines()
    assert len(lines) >= len(hostile) // 3
    for line in (*lines, *logged.getvalue().split("\n")):
        assert not _UNSEEN.search(line), line
    assert not [line for line in logged.getvalue().split("\n") if line.startswith("root:")]


# --- the operator's console


async def test_what_a_site_says_reaches_the_console_without_what_nobody_sees() -> None:
    name = json.dumps("c\x1b[2J\x9b31m\u202e[bold red]x[/]").encode()
    hostile = [HostileSite("1.5", puts=(b'"name":"mine"', b'"name":' + name)) for _ in range(2)]
    hostile += [HostileSite("1.5", always=SiteAnswer(status, "text/plain", FORMS["text"], "\x1b")) for status in STATUSES]
    async with front(hostile) as one:
        settings = Settings.model_validate({"sites": one.sections, "server": {"host": "127.0.0.1"}})
        result = await check(settings, None)
    said = io.StringIO()
    show(result, Console(file=said, width=200, highlight=False, soft_wrap=True))
    assert "[bold red]x[/]" in said.getvalue()
    assert not _UNSEEN.search(said.getvalue())
    assert not _UNSEEN.search(as_json(result))
