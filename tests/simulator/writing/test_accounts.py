"""The user table and the other writes that concern no job."""

from __future__ import annotations

from urllib.parse import urlencode

import msgspec
import pytest

from ccgateway.simulator import SimulatedSite
from ccgateway.simulator.messages import Response
from simulator.sites import job, site
from simulator.writing.writes import OLD, error_of, told, write


def form(site: SimulatedSite, path: str, who: str = "demo", **values: str) -> Response:
    return write(site, "POST", path, urlencode(values).encode(), who)


def roles(site: SimulatedSite, name: str) -> tuple[str, ...] | None:
    return next((u.roles for u in site.truth.users if u.name == name), None)


@pytest.mark.parametrize("release", OLD)
def test_up_to_13_users_are_made_by_form(release: str) -> None:
    here = site(release, job(1))
    made = form(here, "/users/", username="eve", password="x", role="user", name="Eve", email="e@x")
    assert (made.status, made.body, dict(made.headers)) == (
        200,
        b"User eve successfully created!\n",
        {"content-type": "text/plain"},
    )
    assert roles(here, "eve") == ("user",)
    assert form(here, "/users/", "robot", username="eva").status == 403
    again = form(here, "/users/", username="eve", password="x", role="user")
    assert (again.status, error_of(again)) == (422, "UNIQUE constraint failed: user.username")
    assert form(here, "/users/", username="eva", role="user").status == 400
    assert form(here, "/users/", username="eva", role="manager", password="x").status == 400
    assert form(here, "/users/", username="bot", role="api").status == 200
    for _ in range(2):
        assert write(here, "DELETE", "/users/?username=eve").status == 200
    assert roles(here, "eve") is None


@pytest.mark.parametrize("release", ["1.4", "1.5", "howto"])
def test_from_14_on_they_are_not(release: str) -> None:
    here = site(release, job(1))
    assert form(here, "/users/", username="eve", password="x", role="user").status == (404 if release == "1.4" else 405)


@pytest.mark.parametrize("release", OLD)
def test_roles_and_projects_by_form(release: str) -> None:
    here = site(release, job(1))

    def change(name: str, key: str, value: str) -> tuple[int, str]:
        response = form(here, f"/user/{name}", **{key: value})
        return response.status, response.body.decode().rstrip("\n")

    assert change("bob", "add-role", "support") == (200, "Add Role Success")
    assert change("bob", "add-role", "support") == (422, "User bob already has role support")
    assert change("bob", "remove-role", "support") == (200, "Remove Role Success")
    assert change("bob", "remove-role", "support") == (422, "Role already deleted for user 'bob': support")
    assert change("bob", "add-role", "flyer") == (422, "Supplied role is no valid option : flyer")
    assert change("bob", "add-project", "p") == (422, "user 'bob' is not a manager!")
    assert change("mona", "add-project", "p") == (200, "Add Project Success")
    assert change("mona", "add-project", "p") == (422, "user 'mona' already manages project 'p'")
    assert change("mona", "remove-role", "manager") == (
        422, "Cannot remove role 'manager' while user mona still has assigned project(s) : [p]",
    )  # fmt: skip
    assert change("mona", "remove-project", "p") == (200, "Remove Project Success")
    assert change("mona", "remove-project", "p") == (422, "user '\"mona\"': Cannot remove project '\"p\"' - Does not match!")
    assert change("ghost", "add-role", "support") == (422, "sql: no rows in result set")
    assert change("bob", "colour", "x") == (500, "Not Add or Del [role|project]?")
    assert form(here, "/user/bob", "robot", **{"add-role": "admin"}).status == 403


def test_roles_and_projects_by_json() -> None:
    here = site("1.5", job(1))

    def change(name: str, **values: str) -> tuple[int, str]:
        response = write(here, "POST", f"/user/{name}", {k.replace("_", "-"): v for k, v in values.items()})
        body = msgspec.json.decode(response.body)
        return response.status, body.get("msg") or body["error"]

    assert change("bob", add_role="support") == (200, "Add Role Success for user bob")
    assert roles(here, "bob") == ("user", "api", "support")
    assert change("bob", add_role="support") == (422, "adding role failed: user bob already has role support")
    assert change("bob", add_role="", remove_role="support") == (200, "Remove Role Success for user bob")
    assert change("bob", remove_project="p") == (422, "removing project failed: user '\"bob\"' is not a manager")
    assert change("mona", add_project="p") == (200, "Add Project Success for user mona")
    assert change("bob", colour="x") == (400, 'decoding request failed: json: unknown field "colour"')
    assert change("bob")[0] == 400
    assert write(here, "POST", "/user/bob", {"add-role": "admin"}, "robot").status == 403
    assert write(site("1.4", job(1)), "POST", "/user/bob", {"add-role": "admin"}).status == 404


def test_node_states_and_metrics_are_taken_by_15() -> None:
    here = site("1.5", job(1))
    nodes = {"cluster": "aurora", "nodes": [{"hostname": "an001", "states": ["idle"], "jobsRunning": 0}]}
    taken = write(here, "POST", "/nodestate/", nodes)
    assert (taken.status, taken.body) == (200, b"")
    assert write(here, "PUT", "/nodestate/", {"foo": 1}).status == 400
    sample = b"cpu_load,hostname=an001 value=1 5"
    for path in ("/write/?cluster=aurora", "/write?cluster=aurora"):
        assert {u for u in here.users if write(here, "POST", path, sample, u).status == 200} == set(here.users) - {"sam"}
    assert write(site("1.4", job(1)), "POST", "/nodestate/", nodes).status == 404
    with pytest.raises(AssertionError):
        told(write(here, "POST", "/nodestate/", b""))
