"""Errors as callers see them: a code for everything, the data that there is, and nothing of our insides."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from ccgateway.errors import Code, FederationError, RequestError, SiteError
from ccgateway.federation.questions import ReportStatus
from surfaces.conftest import Ask
from surfaces.fakes import FakeGateway, aurora, borealis_is_down, make_row


def shape(entry: dict[str, Any]) -> tuple[Any, ...]:
    return entry["extensions"]["code"], entry["extensions"].get("site"), entry["extensions"]["retryable"], entry.get("path")


async def test_a_site_that_failed_is_an_error_and_the_data_stays(ask: Ask, gateway: FakeGateway) -> None:
    gateway.reports.append(borealis_is_down())
    answer = await ask("{ mine: jobs { items { id } sites { site status code message retryable } } }")
    assert [shape(entry) for entry in answer["errors"]] == [("TIMEOUT", "borealis", True, ["mine"])]
    assert answer["errors"][0]["message"] == "no answer within 10 s"
    assert len(answer["data"]["mine"]["items"]) == 2
    assert answer["data"]["mine"]["sites"][1] == {
        "site": "borealis", "status": "FAILED", "code": "TIMEOUT", "message": "no answer within 10 s", "retryable": True,
    }  # fmt: skip


async def test_a_gap_is_an_error_too_and_a_site_that_was_skipped_is_not(ask: Ask, gateway: FakeGateway) -> None:
    partial = aurora()
    partial.note_gap(Code.SCAN_BUDGET, "stopped after 50000 jobs")
    gateway.reports = [partial, aurora(status=ReportStatus.SKIPPED)]
    answer = await ask("{ jobs { complete } }")
    assert [shape(entry) for entry in answer["errors"]] == [("SCAN_BUDGET", "aurora", False, ["jobs"])]


@pytest.mark.parametrize("query", ["{ clusters { name } }", "{ users { username } }"])
async def test_lists_of_other_things_tell_what_they_lack_as_well(ask: Ask, gateway: FakeGateway, query: str) -> None:
    gateway.reports.append(borealis_is_down())
    answer = await ask(query)
    assert [entry["extensions"]["site"] for entry in answer["errors"]] == ["borealis"]
    assert answer["data"] is not None


async def test_all_sites_failing_names_each_of_them(ask: Ask, gateway: FakeGateway) -> None:
    causes = [SiteError(Code.TIMEOUT, "aurora", "too slow"), SiteError(Code.SITE_UNAUTHORIZED, "borealis", "token refused")]
    gateway.fault = FederationError(Code.ALL_SITES_FAILED, "no site answered", causes)
    answer = await ask("{ jobs { items { id } } }")
    assert answer["data"] is None
    assert [shape(entry) for entry in answer["errors"]] == [
        ("ALL_SITES_FAILED", None, True, ["jobs"]),
        ("TIMEOUT", "aurora", True, ["jobs"]),
        ("SITE_UNAUTHORIZED", "borealis", False, ["jobs"]),
    ]
    assert answer["errors"][0]["locations"] == [{"line": 1, "column": 3}]


async def test_a_refused_question_has_its_own_code_and_words(ask: Ask, gateway: FakeGateway) -> None:
    gateway.fault = RequestError(Code.INVALID_CURSOR, "The cursor belongs to another question.")
    answer = await ask("{ jobs { items { id } } }")
    assert [(entry["message"], shape(entry)) for entry in answer["errors"]] == [
        ("The cursor belongs to another question.", ("INVALID_CURSOR", None, False, ["jobs"]))
    ]


async def test_what_nobody_foresaw_is_logged_with_its_traceback_and_not_shown(
    ask: Ask, gateway: FakeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.fault = ZeroDivisionError("token eyJhbGciOi.secret.stuff at /etc/passwd")
    with caplog.at_level(logging.ERROR):
        answer = await ask("{ jobs { items { id } } }")
    (entry,) = answer["errors"]
    request_id = entry["message"].removeprefix("internal error, request id ")
    assert shape(entry) == ("INTERNAL", None, False, ["jobs"])
    assert len(request_id) == 12
    assert "secret" not in str(answer)
    (record,) = caplog.records
    assert request_id in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is gateway.fault


@pytest.mark.parametrize("change", [{"num_nodes": 1 << 40}, {"duration": None}, {"start_time": "soon"}, {"energy": float("inf")}])
async def test_a_value_that_does_not_fit_its_type_is_our_fault_not_the_callers(
    ask: Ask, gateway: FakeGateway, change: Any
) -> None:
    gateway.rows = [make_row(1, **change)]
    answer = await ask('{ job(id: "aurora:1") { numNodes duration startTime energy } }')
    assert answer["data"] == {"job": None}
    assert [entry["extensions"]["code"] for entry in answer["errors"]] == ["INTERNAL"]


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("{ jobs { ", "GRAPHQL_PARSE_FAILED", "Syntax Error"),
        ("{ jobs { nope } }", "GRAPHQL_VALIDATION_FAILED", "nope"),
        ("{ jobs(nope: 1) { count } }", "GRAPHQL_VALIDATION_FAILED", "nope"),
        ("{ jobs(filter: {nope: 1}) { count } }", "GRAPHQL_VALIDATION_FAILED", "nope"),
        ("{ jobs(filter: {state: sleeping}) { count } }", "GRAPHQL_VALIDATION_FAILED", "running, completed"),
        ('{ jobs(filter: {startTime: {from: "today"}}) { count } }', "GRAPHQL_VALIDATION_FAILED", "2024-06-01T12:00:00Z"),
        ("{ jobs(filter: [null]) { count } }", "GRAPHQL_VALIDATION_FAILED", "null"),
        ('{ jobs(order: {field: "id", order: null}) { count } }', "GRAPHQL_VALIDATION_FAILED", "null"),
        ("mutation { jobs { count } }", "GRAPHQL_VALIDATION_FAILED", "Mutation"),
        ("query A { jobs { count } } query B { jobs { count } }", "BAD_REQUEST", "operation name"),
    ],
)
async def test_a_document_that_is_wrong_says_where_and_why(
    ask: Ask, gateway: FakeGateway, query: str, code: str, words: str
) -> None:
    answer = await ask(query)
    assert "data" not in answer
    assert {entry["extensions"]["code"] for entry in answer["errors"]} == {code}
    assert words in answer["errors"][0]["message"]
    assert gateway.questions == []


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("[JobFilter!]", [{"state": ["sleeping"]}]),
        ("[JobFilter!]", [{"startTime": {"from": "x"}}]),
        ("[JobFilter!]", [{"nope": 1}]),
    ],
)
async def test_variables_that_do_not_fit_are_a_bad_request(ask: Ask, gateway: FakeGateway, kind: str, value: Any) -> None:
    answer = await ask(f"query($v: {kind}) {{ jobs(filter: $v) {{ count }} }}", {"v": value})
    assert "data" not in answer
    assert [entry["extensions"]["code"] for entry in answer["errors"]] == ["BAD_REQUEST"]
    assert answer["errors"][0]["locations"] == [{"line": 1, "column": 7}]
    assert gateway.questions == []


async def test_a_null_that_shows_only_while_executing_is_a_bad_request(ask: Ask, gateway: FakeGateway) -> None:
    answer = await ask("query($p: Policy = PARTIAL) { jobs(policy: $p) { count } }", {"p": None})
    assert [entry["extensions"]["code"] for entry in answer["errors"]] == ["BAD_REQUEST"]
    assert gateway.questions == []
