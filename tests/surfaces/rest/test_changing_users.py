"""Users: forms and JSON of every kind become commands, results become answers."""

from __future__ import annotations

import time

import pytest

from ccgateway.errors import Code
from ccgateway.identity.principal import Principal
from ccgateway.jobs.writes import (
    ChangeUser,
    WriteOutcome,
    WriteResult,
)
from surfaces.rest.asking import RestGateway, client_of, written

RELEASED = "/cc-backend/1.5"


def changed(outcome: WriteOutcome, code: Code | None = None, message: str | None = None, site: str = "aurora") -> WriteResult:
    return WriteResult(outcome=outcome, site=site, code=code, message=message)


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("user/bob?site=*", b'{"add-role":"","remove-project":"p_a"}', {}),
        ("user/bob?site=*", b"remove-project=p_a&remove-project=p_b", {"Content-Type": "application/x-www-form-urlencoded"}),
        ("user/bob?site=*&remove-project=p_a", b"", {}),
    ],
)
async def test_users_change_by_json_and_by_form(path: str, body: bytes, headers: dict[str, str]) -> None:
    gateway = RestGateway()
    gateway.commands.results = [changed(WriteOutcome.DONE), changed(WriteOutcome.UNCHANGED, site="borealis")]
    async with client_of(gateway) as client:
        answer = await client.post(f"/api/{path}", content=body, headers=headers)
    (told,) = gateway.commands.told
    assert told[:2] == ("change_user", ChangeUser(user="bob", change="remove-project", value="p_a", sites=("*",)))
    assert answer.status_code == 200 and answer.json()["msg"] == "Remove Project Success for user bob"
    assert {site: one["outcome"] for site, (one,) in answer.json()["sites"].items()} == {
        "aurora": "DONE",
        "borealis": "UNCHANGED",
    }


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("x", b'--x\r\nContent-Disposition: form-data; name="%s\r\n\r\n1\r\n--x--\r\n'),
        ("x", b'--x\r\nContent-Type: multipart/mixed; boundary="%s\r\n\r\n1\r\n--x--\r\n'),
        ("x", b'--x\r\nContent-Disposition: form-data; name="\r\n %s\r\n\r\n1\r\n--x--\r\n'),
        ('"%s', b"--x--\r\n"),
    ],
)
async def test_a_form_of_ever_more_parameters_is_refused_before_it_is_read(kind: str, body: bytes) -> None:
    many = ";" * 60_000
    headers = {"Content-Type": "multipart/form-data; boundary=" + kind.replace("%s", many)}
    began = time.process_time()
    async with client_of(RestGateway()) as client:
        answer = await client.post("/api/user/bob?site=*", content=body.replace(b"%s", many.encode()), headers=headers)
    assert answer.status_code == 400 and "semicolons" in answer.json()["error"]
    assert time.process_time() - began < 1.5  # three seconds where each is held against all before it


async def test_users_do_not_change_to_nothing() -> None:
    for body in (b"", b"{}", b'{"add-role":""}'):
        here, none, _ = await written("POST", "/api/user/bob", body)
        assert here.status_code == 400 and none is None
    there, none, _ = await written("POST", f"{RELEASED}/api/user/bob", {})
    words = "no operation specified: must provide add-role, remove-role, add-project, or remove-project"
    assert (there.status_code, there.json(), none) == (400, {"status": "Bad Request", "error": words}, None)
    there, none, _ = await written("POST", f"{RELEASED}/api/user/bob", {"colour": "red"})
    assert (there.status_code, there.json()["error"]) == (400, 'decoding request failed: json: unknown field "colour"')


async def test_only_administrators_change_users() -> None:
    async with client_of(RestGateway(), caller=Principal("robot", frozenset({"api"}))) as client:
        answer = await client.post(f"{RELEASED}/api/user/bob", json={"add-role": "admin"})
    assert (answer.status_code, answer.json()["error"]) == (403, "only admins are allowed to update a user")


REFUSES = "The site refuses the question (HTTP 422): "


@pytest.mark.parametrize(
    ("body", "came_to", "status", "words"),
    [
        ({"add-role": "support"}, changed(WriteOutcome.DONE), 200, "Add Role Success for user bob"),
        (
            {"add-role": "Support"}, changed(WriteOutcome.UNCHANGED), 422,
            "adding role failed: user bob already has role support",
        ),
        (
            {"remove-role": "support"}, changed(WriteOutcome.UNCHANGED), 422,
            "removing role failed: role already deleted for user 'bob': support",
        ),
        (
            {"add-project": "p_a"}, changed(WriteOutcome.UNCHANGED), 422,
            "adding project failed: user 'bob' already manages project 'p_a'",
        ),
        (
            {"remove-project": "p_a"}, changed(WriteOutcome.UNCHANGED), 422,
            "removing project failed: user '\"bob\"': Cannot remove project '\"p_a\"' - Does not match",
        ),
        (
            {"add-role": "support"}, changed(WriteOutcome.FAILED, Code.NOT_FOUND, "no such user"), 422,
            "adding role failed: sql: no rows in result set",
        ),
        (
            {"add-role": "x"},
            changed(WriteOutcome.FAILED, Code.SITE_REFUSED, f"{REFUSES}adding role failed: supplied role is no valid option : x"),
            422, "adding role failed: supplied role is no valid option : x",
        ),
        (
            {"add-project": "p_a"}, changed(WriteOutcome.FAILED, Code.SITE_REFUSED, f"{REFUSES}User 'bob' is not a manager!"),
            422, "adding project failed: user 'bob' is not a manager",
        ),
        (
            {"add-role": "user"}, changed(WriteOutcome.FAILED, Code.SITE_UNAUTHORIZED, "no"), 403,
            "only admins are allowed to update a user",
        ),
    ],
)  # fmt: skip
async def test_users_change_in_cc_backends_words(body: dict[str, str], came_to: WriteResult, status: int, words: str) -> None:
    answer, _, _ = await written("POST", f"{RELEASED}/api/user/bob", body, came_to)
    assert (answer.status_code, answer.json().get("msg") or answer.json()["error"]) == (status, words)
