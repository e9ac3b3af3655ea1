"""Single jobs and metrics, in the shapes of both faces, and asked conditionally."""

from __future__ import annotations

from typing import Any

import pytest

from ccgateway.errors import Code, RequestError, SiteError
from ccgateway.jobs.metrics import JobRef, MetricsWanted
from support.memory import LARGE, held
from surfaces.fakes import make_piece
from surfaces.rest.asking import RestGateway, client_of, rest_row

RELEASED = "/cc-backend/1.5"
ON_ONE_NODE = MetricsWanted(None, ("core",))
ON_SEVERAL = MetricsWanted(None, ("node",))
LOAD = (
    b'{"statisticsSeries":{"mean":null,"median":[0.75],"min":[0.50],"max":[1.00]},"unit":{"base":""},"series":['
    b'{"hostname":"a0001","statistics":{"min":1.00,"avg":2.50,"max":4.00},"data":[1.00,null,4.00]},'
    b'{"hostname":"a0002","id":"1","statistics":{"min":0.50,"avg":3.50,"max":5.00},"data":[0.50]}],"timestep":60}'
)


async def test_a_job_is_flat_and_as_cc_backend_has_it() -> None:
    gateway = RestGateway()
    async with client_of(gateway) as client:
        answer = (await client.get("/api/jobs/1001")).json()
    assert (answer["id"], answer["state"], answer["user"], answer["site"]) == (1001, "completed", "alice", "aurora")
    assert answer["metaData"] == answer["Meta"]["metaData"] == {"jobName": "run"}
    assert answer["Meta"]["id"] == 1001 and answer["Meta"]["jobState"] == "completed"
    assert list(answer["Data"]) == ["cpu_load"] and list(answer["Data"]["cpu_load"]) == ["node"]
    assert gateway.questions[1:] == [((JobRef.of(gateway.rows[0]),), ON_SEVERAL)]


async def test_a_job_comes_without_metrics_where_nobody_wants_them() -> None:
    gateway = RestGateway()
    async with client_of(gateway) as client:
        here = (await client.get("/api/jobs/1001?all-metrics=false")).json()
        there = (await client.get(f"{RELEASED}/api/jobs/1001")).json()
    assert here["Data"] is None and list(there) == ["Meta", "Data"] and there["Data"] is None
    assert len(gateway.questions) == 2


@pytest.mark.parametrize(("nodes", "wanted"), [(1, ON_ONE_NODE), (2, ON_SEVERAL)])
async def test_a_whole_job_has_the_scope_that_cc_backend_chooses(nodes: int, wanted: MetricsWanted) -> None:
    gateway = RestGateway(rows=[rest_row(1, num_nodes=nodes)])
    async with client_of(gateway) as client:
        answer = await client.get(f"{RELEASED}/api/jobs/1001?all-metrics=true")
    assert answer.content.endswith(b'"Data":{"cpu_load":{"node":' + LOAD + b"}}}\n")
    assert gateway.questions[-1][1] == wanted


@pytest.mark.parametrize("code", [Code.SITE_ERROR, Code.TIMEOUT, Code.SITE_UNAUTHORIZED])
async def test_a_job_stands_although_its_metrics_cannot_be_read(code: Code) -> None:
    gateway = RestGateway(pieces={"aurora:1": SiteError(code, "aurora", "no metrics")})
    async with client_of(gateway) as client:
        here, there = await client.get("/api/jobs/1001"), await client.get(f"{RELEASED}/api/jobs/1001?all-metrics=true")
    assert here.status_code == 200 and here.headers["x-ccgateway-complete"] == "false" and "etag" not in here.headers
    assert here.json()["Data"] is None
    assert here.json()["sites"]["aurora"]["code"] == code
    assert there.status_code >= 500  # cc-backend says 200 and nothing else


@pytest.mark.parametrize(
    ("body", "names"), [(b'["cpu_load", "mem_bw"]', ("cpu_load", "mem_bw")), (b"null", None), (b"[]", None), (b"", None)]
)
async def test_the_body_names_metrics(body: bytes, names: tuple[str, ...] | None) -> None:
    gateway = RestGateway()
    async with client_of(gateway) as client:
        answer = await client.post("/api/jobs/1001", content=body)
    assert gateway.questions[-1][1] == MetricsWanted(names, ("node",))
    assert [list(one) for one in answer.json()["Data"]] == [["name", "scope", "metric"]]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "decoding request failed: EOF"),
        (b"[", "decoding request failed: unexpected EOF"),
        (b"{}", "decoding request failed: json: cannot unmarshal object into Go value of type api.GetJobAPIRequest"),
        (b"[1]", "decoding request failed: json: cannot unmarshal number into Go value of type string"),
    ],
)
async def test_a_body_that_is_no_list_of_names_is_refused(body: bytes, words: str) -> None:
    async with client_of(RestGateway()) as client:
        there = await client.post(f"{RELEASED}/api/jobs/1001", content=body)
        here = await client.post("/api/jobs/1001", content=body)
    assert (there.status_code, there.json()["error"]) == (400, words)
    assert here.status_code == (400 if body else 200)


@pytest.mark.parametrize("number", [3001, 1009, 1000, 7])
async def test_a_job_that_is_not_there_is_told_in_each_faces_words(number: int) -> None:
    async with client_of(RestGateway()) as client:
        here, there = await client.get(f"/api/jobs/{number}"), await client.get(f"{RELEASED}/userapi/jobs/{number}")
        metrics = await client.get(f"{RELEASED}/api/jobs/metrics/{number}")
    assert here.status_code == 404 and here.json()["code"] == "NOT_FOUND"
    assert there.status_code == 422
    assert there.json()["error"] == f"finding job with db id {number} failed: sql: no rows in result set"
    assert metrics.status_code == 200  # the fake has metrics of every job of its sites
    if number % 1000 not in (1, 2):
        assert metrics.json() == {"data": None, "error": {"message": "sql: no rows in result set"}}


@pytest.mark.parametrize("number", ["x", "-", "99999999999999999999", "1.5"])
async def test_what_is_no_id_is_refused(number: str) -> None:
    async with client_of(RestGateway()) as client:
        here, there = await client.get(f"/api/jobs/{number}"), await client.get(f"{RELEASED}/api/jobs/{number}")
        metrics = await client.get(f"{RELEASED}/api/jobs/metrics/{number}")
    wrong = "value out of range" if number.isdigit() else "invalid syntax"
    assert here.status_code == 400
    assert there.json()["error"] == f'integer expected in path for id: strconv.ParseInt: parsing "{number}": {wrong}'
    assert metrics.json()["error"]["message"] == f'strconv.ParseInt: parsing "{number}": {wrong}'


# --- metrics


async def test_metrics_are_flat_on_the_page_and_nested_at_cc_backend() -> None:
    gateway = RestGateway(metric_notes=["scopes: as the site keeps them"])
    path = "jobs/metrics/1001?metric=cpu_load&metric=mem_bw&scope=node&scope=socket"
    async with client_of(gateway) as client:
        here, there = await client.get(f"/api/{path}"), await client.get(f"{RELEASED}/userapi/{path}")
    assert there.content == b'{"data":{"jobMetrics":[{"name":"cpu_load","scope":"node","metric":' + LOAD + b'}]},"error":null}\n'
    (told,) = here.json()["metrics"]
    assert list(told) == ["name", "scope", "unit", "timestep", "series", "statisticsSeries"]
    assert told["unit"] == {"base": "", "prefix": ""} and told["series"][1]["statistics"] == {"min": 0.5, "avg": 3.5, "max": 5.0}
    assert here.json()["notes"] == ["scopes: as the site keeps them"]
    wanted = MetricsWanted(("cpu_load", "mem_bw"), ("node", "socket"))
    assert gateway.questions == [("aurora:1", wanted)] * 2


async def test_texts_in_metrics_are_escaped_as_everywhere_at_cc_backend() -> None:
    pieces = [make_piece("a<b"), make_piece("plain")]
    async with client_of(RestGateway(pieces={"aurora:1": pieces})) as client:
        answer = await client.get(f"{RELEASED}/api/jobs/metrics/1001")
    assert b'"name":"a\\u003cb"' in answer.content and b'"name":"plain"' in answer.content


async def test_an_unknown_scope_is_refused() -> None:
    async with client_of(RestGateway()) as client:
        here = await client.get("/api/jobs/metrics/1001?scope=galaxy")
        there = await client.get(f"{RELEASED}/api/jobs/metrics/x?scope=galaxy")
    assert here.status_code == there.status_code == 400
    assert there.json()["error"] == "unmarshaling scope failed: SCHEMA/METRICS > galaxy is not a valid MetricScope"


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (RequestError(Code.NOT_FOUND, "gone"), 200, "sql: no rows in result set"),
        (SiteError(Code.SITE_ERROR, "aurora", "The site cannot read"), 200, "The site cannot read"),
        (SiteError(Code.TIMEOUT, "aurora", "late"), 504, None),
    ],
)
async def test_metrics_that_cannot_be_had_are_told_as_cc_backend_tells_it(error: Any, status: int, message: str | None) -> None:
    async with client_of(RestGateway(pieces={"aurora:1": error})) as client:
        answer = await client.get(f"{RELEASED}/api/jobs/metrics/1001")
        here = await client.get("/api/jobs/metrics/1001")
    assert answer.status_code == status and "etag" not in answer.headers
    assert answer.json() == (
        {"data": None, "error": {"message": message}} if message else {"status": "Gateway Timeout", "error": "late"}
    )
    assert here.json()["code"] == error.code


class FromOneBody(RestGateway):
    """Makes every answer anew from the text of a site's large body."""

    def _outcome(self, job_id: str) -> Any:
        self.pieces[job_id] = [make_piece(text=LOAD.replace(b"[0.50]", b"[%b0.50]" % (b"0.50," * (LARGE // 5)), 1))]
        outcome = super()._outcome(job_id)
        self.pieces.clear()
        return outcome


@pytest.mark.parametrize(
    "path", ["/api/jobs/1001", "/api/jobs/metrics/1001", f"{RELEASED}/api/jobs/1001", f"{RELEASED}/api/jobs/metrics/1001"]
)
async def test_a_slow_reader_holds_the_answer_and_not_the_sites_body_too(path: str) -> None:
    sent: list[tuple[int, int]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async with client_of(FromOneBody()) as client:
        app = client._transport.app  # type: ignore[attr-defined]
        scope = {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(),
            "query_string": b"" if "metrics" in path else b"all-metrics=true",
            "headers": [], "http_version": "1.1", "scheme": "http", "server": ("localhost", 80), "client": ("127.0.0.1", 1),
            "root_path": "",
        }  # fmt: skip
        with held() as bytes_held:

            async def send(message: dict[str, Any]) -> None:
                sent.append((bytes_held(), len(message.get("body", b""))))

            await app(scope, receive, send)
    (_, head), (at_most, body) = sent
    assert head == 0 and body > LARGE * 0.9 and at_most < 1.75 * body  # what it is written into may be larger by half


# --- asked conditionally


@pytest.mark.parametrize("path", ["/api/jobs/1001", f"{RELEASED}/api/jobs/1001?all-metrics=true"])
async def test_an_archived_job_is_sent_once_and_its_metrics_are_not_even_read_again(path: str) -> None:
    gateway = RestGateway()
    async with client_of(gateway) as client:
        first = await client.get(path)
        asked = len(gateway.questions)
        again = await client.get(path, headers={"If-None-Match": first.headers["etag"]})
        other = await client.get(path, headers={"If-None-Match": '"something else", W/"another"'})
    assert first.headers["cache-control"] == "private, no-cache"
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert len(gateway.questions) == asked + 1 + 2
    assert other.status_code == 200 and other.content == first.content


@pytest.mark.parametrize("base", ["/api", f"{RELEASED}/api"])
async def test_metrics_of_an_archived_job_likewise(base: str) -> None:
    gateway = RestGateway()
    async with client_of(gateway) as client:
        first = await client.get(f"{base}/jobs/metrics/1001?metric=cpu_load")
        again = await client.get(f"{base}/jobs/metrics/1001?metric=cpu_load", headers={"If-None-Match": first.headers["etag"]})
        differs = await client.get(f"{base}/jobs/metrics/1001?metric=mem_bw", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304 and again.content == b"" and differs.status_code == 200
    assert len(gateway.questions) == 3


@pytest.mark.parametrize("changes", [{"state": "running"}, {"monitoring_status": 1}, {"monitoring_status": 2}])
async def test_what_may_change_has_no_tag(changes: dict[str, Any]) -> None:
    async with client_of(RestGateway(rows=[rest_row(1, **changes)])) as client:
        for path in ("/api/jobs/1001", "/api/jobs/metrics/1001", f"{RELEASED}/api/jobs/1001"):
            answer = await client.get(path, headers={"If-None-Match": "*"})
            assert answer.status_code == 200 and "etag" not in answer.headers
            assert answer.headers["cache-control"] == "no-store"


async def test_a_tag_put_on_a_job_changes_its_entity_tag() -> None:
    async with client_of(RestGateway()) as client:
        before = (await client.get("/api/jobs/1001")).headers["etag"]
    async with client_of(RestGateway(rows=[rest_row(1, tags=[])])) as client:
        assert (await client.get("/api/jobs/1001", headers={"If-None-Match": before})).status_code == 200


@pytest.mark.parametrize("path", ["/api/jobs/1001", "/api/jobs/metrics/1001"])
async def test_another_release_of_the_gateway_has_other_entity_tags(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with client_of(RestGateway()) as client:
        before = (await client.get(path)).headers["etag"]
        monkeypatch.setattr("ccgateway.surfaces.rest.conditional.__version__", "another")
        assert (await client.get(path, headers={"If-None-Match": before})).status_code == 200


async def test_a_piece_without_statistics_and_unit_is_written_as_go_would_and_has_none_in_the_how_to_face() -> None:
    piece = make_piece(text=b'{"series":[{"hostname":"a","data":null}],"timestep":0}')
    async with client_of(RestGateway(pieces={"aurora:1": [piece]})) as client:
        answer = await client.get(f"{RELEASED}/api/jobs/metrics/1001")
        here = await client.get("/api/jobs/metrics/1001")
    assert here.json()["metrics"][0]["series"] == [{"hostname": "a", "statistics": None, "data": []}]
    metric = (
        b'{"unit":{"base":""},"series":[{"hostname":"a","statistics":{"min":0.00,"avg":0.00,"max":0.00},"data":[]}],"timestep":0}'
    )
    assert metric in answer.content
