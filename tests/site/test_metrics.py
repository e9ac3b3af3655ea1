"""A job's metrics at one site: asked the way that is open, delivered in order, every silent failure an error with a code."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.metrics import JobRef, MetricsWanted
from ccgateway.settings import SiteSettings
from ccgateway.site.base import MetricsFound
from ccgateway.site.credentials import Credential, OneToken
from ccgateway.site.exchange import SiteAnswer
from ccgateway.site.instance import Instance
from support.memory import LARGE, held
from support.scripted import Scripted, context_for
from support.upstream import ADMIN, Job, Upstream, piece, site_of, user_credential

RELEASES = ["1.2", "1.3", "1.4", "1.5"]
releases = pytest.mark.parametrize("release", RELEASES)

ROBOT = Credential(SecretStr("token-of-robot"), "robot", frozenset({"api"}), "/api")
ALICE = user_credential("alice")
MONA = Credential(SecretStr("token-of-mona"), "mona", frozenset({"manager", "api"}), "/userapi")
WANTED = MetricsWanted.of(["mem_bw", "cpu_load"], ["node"])


def upstream_of(release: str) -> Upstream:
    return Upstream([Job(1, 1000, id=7, user="alice"), Job(2, 1001, id=8, user="bob")], release=release)


async def asked(upstream: Upstream, credential: Credential, wanted: MetricsWanted = WANTED, db_id: int = 7) -> MetricsFound:
    site = site_of(upstream, "here", credential=credential)
    return await site.metrics(context_for(credential=credential), JobRef("here", db_id), wanted)


def shown(found: MetricsFound) -> list[tuple[str, str]]:
    return [(one.name, one.scope) for one in found.pieces]


def scripted(answer: SiteAnswer, release: str = "1.5") -> tuple[Instance, Scripted]:
    exchange = Scripted(answer)
    settings = SiteSettings(name="here", number=1, url="http://here", release=release)  # type: ignore[arg-type, call-arg]
    return Instance(settings, exchange, OneToken(ADMIN)), exchange


async def answered(status: int, body: bytes, release: str = "1.5", credential: Credential = ADMIN) -> MetricsFound:
    site, _ = scripted(SiteAnswer(status, "application/json", body), release)
    return await site.metrics(context_for(credential=credential), JobRef("here", 7), WANTED)


async def code_of(status: int, body: bytes, release: str = "1.5", credential: Credential = ADMIN) -> tuple[Code, str]:
    with pytest.raises(SiteError) as failed:
        await answered(status, body, release, credential)
    return failed.value.code, failed.value.message


# --- asking


@releases
async def test_pieces_come_in_the_order_asked_for_also_those_nobody_asked_for(release: str) -> None:
    upstream = upstream_of(release)
    for _ in range(5):
        assert shown(await asked(upstream, ADMIN)) == [("mem_bw", "node"), ("mem_bw", "socket"), ("cpu_load", "node")]
    assert {request.path for request in upstream.requests} == {"/api/jobs/metrics/7?metric=mem_bw&metric=cpu_load&scope=node"}


async def test_without_names_and_scopes_everything_is_asked_for() -> None:
    upstream = upstream_of("1.5")
    found = await asked(upstream, ADMIN, MetricsWanted())
    assert shown(found) == [("cpu_load", "node"), ("mem_bw", "node"), ("mem_bw", "socket")]
    assert upstream.requests[0].path == "/api/jobs/metrics/7"


async def test_nothing_is_not_asked_for() -> None:
    upstream = upstream_of("1.5")
    assert (await asked(upstream, ADMIN, MetricsWanted.of([], None))).pieces == []
    assert upstream.requests == []


async def test_names_are_quoted() -> None:
    upstream = upstream_of("1.5")
    await asked(upstream, ADMIN, MetricsWanted.of(["a&scope=core", "ä"], None))
    assert upstream.requests[0].path == "/api/jobs/metrics/7?metric=a%26scope%3Dcore&metric=%C3%A4"


# --- who asks


@releases
async def test_a_pure_api_token_goes_by_the_job_and_says_so(release: str) -> None:
    upstream = upstream_of(release)
    found = await asked(upstream, ROBOT)
    assert shown(found) == [("mem_bw", "node"), ("cpu_load", "node")]
    assert [(r.method, r.path, r.body) for r in upstream.requests] == [("POST", "/api/jobs/7", b'["mem_bw","cpu_load"]')]
    assert "chosen by the site" in found.notes[0]
    await asked(upstream, ROBOT, MetricsWanted())
    assert upstream.requests[-1].body == b"null"
    with pytest.raises(SiteError) as failed:
        await asked(upstream, ROBOT, db_id=99)
    assert failed.value.code is Code.NOT_FOUND


@releases
@pytest.mark.parametrize("credential", [ALICE, MONA], ids=["alice", "mona"])
async def test_nobody_reads_the_metrics_of_somebody_elses_job(release: str, credential: Credential) -> None:
    upstream = upstream_of(release)
    with pytest.raises(SiteError) as failed:
        await asked(upstream, credential, db_id=8)
    assert failed.value.code is Code.NOT_FOUND
    if release in ("1.2", "1.3"):  # which would have shown them to mona
        assert not any("metrics" in request.path for request in upstream.requests)


@releases
async def test_a_user_reads_the_metrics_of_an_own_job(release: str) -> None:
    assert len(shown(await asked(upstream_of(release), ALICE))) == 3


@pytest.mark.parametrize("release", RELEASES)
async def test_a_job_that_is_not_there_is_not_found(release: str) -> None:
    with pytest.raises(SiteError) as failed:
        await asked(upstream_of(release), ADMIN, db_id=99)
    assert failed.value.code is Code.NOT_FOUND


# --- silent failures

NOT_YOURS = b'{"data":null,"error":{"message":"you are not allowed to see this job"}}\n'
NO_ROWS = b'{"data":null,"error":{"message":"sql: no rows in result set"}}\n'
STORE = b'{"data":null,"error":{"message":"open ./var/job-archive/alex/1/002/1000/data.json.gz: no such file or directory"}}'


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (200, NOT_YOURS, Code.SITE_UNAUTHORIZED, "admin and api"),
        (200, NO_ROWS, Code.NOT_FOUND, "no such job"),
        (200, STORE, Code.SITE_ERROR, "no such file"),
        (200, b"", Code.SITE_ERROR, "empty answer"),
        (200, b" \n", Code.SITE_ERROR, "empty answer"),
        (200, b'{"data":null,"error":null}', Code.SITE_ERROR, "no reason"),
        (500, b"", Code.SITE_ERROR, "HTTP 500"),
        (
            200,
            b'{"data":{"jobMetrics":[{"name":"a","scope":"node","metric":{"series":[{"data":[NaN]}]}}]}}',
            Code.BAD_ANSWER,
            "JSON",
        ),
        (200, b'{"data":{"jobMetrics":[', Code.BAD_ANSWER, "JSON"),
        (200, b'{"jobs":[]}', Code.WRONG_RELEASE, "does not fit"),
        (200, b"<html></html>", Code.BAD_ANSWER, "web page"),
        (400, b"SCHEMA/METRICS > galaxy is not a valid MetricScope\n", Code.SITE_REFUSED, "galaxy"),
        (401, b'{"error":"unauthorized"}', Code.SITE_UNAUTHORIZED, "HTTP 401"),
        (422, b'{"error":"sql: no rows in result set"}', Code.NOT_FOUND, "no such job"),
    ],
)
async def test_a_failure_has_a_code(status: int, body: bytes, code: Code, words: str) -> None:
    found, message = await code_of(status, body)
    assert found is code
    assert words in message


async def test_by_post_a_failure_has_a_code_as_well() -> None:
    assert (await code_of(200, b"", credential=ROBOT))[0] is Code.SITE_ERROR
    assert (await code_of(422, b"{}", credential=ROBOT))[0] is Code.NOT_FOUND
    assert (await code_of(200, b'{"Meta":{}}', credential=ROBOT))[0] is Code.WRONG_RELEASE


@pytest.mark.parametrize("body", [NOT_YOURS, NO_ROWS, STORE, b""])
async def test_what_is_wrong_with_one_job_is_not_wrong_with_the_site(body: bytes) -> None:
    site, _ = scripted(SiteAnswer(200, "application/json", body))
    with pytest.raises(SiteError):
        await site.metrics(context_for(), JobRef("here", 7), WANTED)
    assert (site.health.reachable, site.health.last_error) == (True, None)


async def test_a_sites_own_words_do_not_leak_sql() -> None:
    _, message = await code_of(200, b'{"data":null,"error":{"message":"SELECT x FROM job WHERE user = 1: no such column"}}')
    assert "SELECT" not in message


async def test_nothing_matched_is_an_empty_list() -> None:
    assert (await answered(200, b'{"data":{"jobMetrics":[]},"error":null}')).pieces == []
    assert (await answered(200, b'{"data":{"jobMetrics":null},"error":null}')).pieces == []


async def test_the_order_of_keys_does_not_matter() -> None:
    values = {"metric": piece("a")["metric"], "name": "a", "scope": "node"}
    for keys in itertools.permutations(values):
        body = msgspec.json.encode({"error": None, "data": {"jobMetrics": [{key: values[key] for key in keys}]}})
        assert shown(await answered(200, body)) == [("a", "node")]


# --- as the how-to page documents it

FLAT = (
    b'{"metrics":[{"name":"mem_bw","unit":{"base":"B/s","prefix":"G"},"timestep":60,"series":[{"hostname":"n1","id":"0","statistics":'
    b'{"avg":2.5,"min":1,"max":4},"data":[1.00,null]}]},{"name":"cpu_load","scope":"core","unit":{"base":""},"timestep":30,"series":[]}]}'
)


async def test_documented_metrics_are_flat() -> None:
    found = await answered(200, FLAT, "howto")
    assert shown(found) == [("mem_bw", "node"), ("cpu_load", "core")]
    series = found.pieces[0].metric.series
    assert series is not None and bytes(memoryview(series[0].data)) == b"[1.00,null]"
    assert (found.pieces[0].metric.timestep, found.pieces[1].metric.timestep) == (60, 30)


async def test_a_scope_that_is_not_told_is_the_one_asked_for() -> None:
    site, _ = scripted(SiteAnswer(200, "application/json", FLAT), "howto")
    found = await site.metrics(context_for(), JobRef("here", 7), MetricsWanted.of(None, ["socket"]))
    assert set(shown(found)) == {("mem_bw", "socket"), ("cpu_load", "core")}


async def test_documented_failures_have_codes() -> None:
    assert (await code_of(404, b"{}", "howto"))[0] is Code.NOT_FOUND
    assert (await code_of(500, b'{"error":"store"}', "howto"))[0] is Code.SITE_ERROR
    assert (await code_of(200, b"", "howto"))[0] is Code.SITE_ERROR
    assert (await code_of(200, b'{"data":null}', "howto"))[0] is Code.WRONG_RELEASE


async def test_a_pure_api_token_asks_the_documented_way() -> None:
    site, exchange = scripted(SiteAnswer(200, "application/json", FLAT), "howto")
    found = await site.metrics(context_for(credential=ROBOT), JobRef("here", 7), WANTED)
    assert exchange.requests[0].method == "GET"
    assert found.notes == ()


# --- a fault of releases up to 1.4


def two_hosts(one: tuple[float | None, ...], two: tuple[float | None, ...], scope: str = "node") -> dict[str, Any]:
    found = piece("mem_bw", scope, one)
    found["metric"]["series"] += piece("mem_bw", scope, two)["metric"]["series"]
    return found


@releases
@pytest.mark.parametrize(
    ("metric", "is_mixed"),
    [
        (two_hosts((441.5, 324.9), (441.5, 324.9)), True),
        (two_hosts((441.5, 324.9), (441.5, 324.8)), False),
        (two_hosts((441.5, 324.9), (441.5, 324.9), "socket"), False),
        (two_hosts((0.0, None), (0.0, None)), False),
        (piece("mem_bw"), False),
    ],
)
async def test_hosts_that_an_old_release_mixed_up_are_told(release: str, metric: dict[str, Any], is_mixed: bool) -> None:
    upstream = upstream_of(release)
    upstream.metrics = {7: [metric]}
    notes = (await asked(upstream, ADMIN)).notes
    assert [("sum over all hosts in mem_bw" in note) for note in notes] == [True] * (is_mixed and release != "1.5")


@pytest.mark.parametrize(
    ("status", "text"),
    [(200, b'{"data":{"jobMetrics":[{'), (200, b'{"data":[]}'), (200, b"<html>"), (200, b'{"data":null,"error":{}}'), (503, b"")],
)
async def test_an_error_that_is_kept_keeps_no_answer(status: int, text: bytes) -> None:
    with held() as bytes_held:
        site, script = scripted(SiteAnswer(status, "application/json", text + b" " * LARGE))
        assert bytes_held() > LARGE
        with pytest.raises(SiteError) as failed:
            await site.metrics(context_for(), JobRef("here", 7), WANTED)
        script.outcomes.clear()
        assert failed.value.message
        assert bytes_held() < LARGE / 2
