"""What ``check`` says about tokens: whose, how long, what they open, and what to do about the rest."""

from __future__ import annotations

import time

import pytest

from ccgateway.simulator.messages import json_error
from operations.conftest import Start
from operations.desk import Desk, one_problem, one_warning

RELEASES = ["1.2", "1.3", "1.4", "1.5", "howto"]


@pytest.mark.parametrize("release", RELEASES)
async def test_an_admins_token_is_good_and_told_about(release: str, start: Start, desk: Desk) -> None:
    address = await start(release)
    desk.add("aurora", address.url, address.site.token("demo"))
    result = await desk.check()
    assert result.is_good and list(result) == []
    (site,) = result.sites
    assert (site.release, site.accepted, site.root, site.sees, site.users) == (release, True, "/api", "all jobs", 6)
    assert site.clusters == ["aurora"]
    assert site.elapsed is not None and 0 < site.elapsed < 5
    assert site.token is not None and (site.token.subject, site.token.roles) == ("demo", ("admin", "api"))


@pytest.mark.parametrize("release", RELEASES)
async def test_another_sites_token_is_named_as_such(release: str, start: Start, desk: Desk) -> None:
    address, other = await start(release), await start("1.5", "borealis")
    desk.add("aurora", address.url, other.site.token("demo"))
    result = await desk.check()
    problem = one_problem(result)
    assert problem.key == "sites.aurora.token_file"
    assert "not signed with this site's key" in problem.problem
    assert "cc-backend -jwt USER" in problem.remedy and "aurora.jwt" in problem.remedy
    assert (result.sites[0].reachable, result.sites[0].accepted) == (True, False)


@pytest.mark.parametrize("release", RELEASES)
async def test_an_expired_token_is_one_problem_that_says_since_when(release: str, start: Start, desk: Desk) -> None:
    address = await start(release)
    desk.add("aurora", address.url, address.site.mint("demo", ["admin", "api"], exp=1_700_000_000))
    problem = one_problem(await desk.check())
    assert problem.key == "sites.aurora.token_file"
    assert problem.problem == "the token expired on 2023-11-14 22:13 UTC"
    assert "cc-backend -jwt USER" in problem.remedy


async def test_a_token_that_expires_soon_is_a_warning_and_no_problem(start: Start, desk: Desk) -> None:
    address = await start("1.5")
    desk.add("aurora", address.url, address.site.mint("demo", ["admin", "api"], exp=int(time.time()) + 86_400))
    result = await desk.check()
    assert result.is_good and one_warning(result).problem.startswith("the token expires on ")


async def test_a_token_without_end_is_good(start: Start, desk: Desk) -> None:
    address = await start("1.5")
    desk.add("aurora", address.url, address.site.mint("demo", ["admin", "api"], exp=None))
    result = await desk.check()
    assert list(result) == [] and result.sites[0].token is not None and result.sites[0].token.expires is None


async def test_what_is_no_jwt_is_named_as_such(start: Start, desk: Desk) -> None:
    address = await start("1.5")
    desk.add("aurora", address.url, "correct-horse-battery-staple")
    problem = one_problem(await desk.check())
    assert (problem.key, "is not a JWT" in problem.problem) == ("sites.aurora.token_file", True)


@pytest.mark.parametrize(("release", "user"), [("1.4", "sam"), ("1.5", "nobody")])
async def test_roles_that_open_nothing_are_a_problem_that_names_those_that_would(
    release: str, user: str, start: Start, desk: Desk
) -> None:
    address = await start(release)
    desk.add("aurora", address.url, address.site.mint(user, ["support", "api"] if user == "sam" else ["user"]))
    problem = one_problem(await desk.check())
    assert problem.key == "sites.aurora.token_file"
    assert f"the token of {user} with the roles " in problem.problem
    assert 'exactly the roles ["api"], or admin and api' in problem.remedy


async def test_roles_are_explained_for_the_release_that_the_settings_name(start: Start, desk: Desk) -> None:
    address = await start("1.4")
    desk.add("aurora", address.url, address.site.token("sam"), 'release = "1.4"')
    assert "user or manager, and api" in one_problem(await desk.check()).remedy


@pytest.mark.parametrize("release", ["1.4", "1.5"])
async def test_a_users_token_is_good_and_sees_that_users_jobs(release: str, start: Start, desk: Desk) -> None:
    address = await start(release)
    desk.add("aurora", address.url, address.site.token("alice"))
    result = await desk.check()
    assert result.is_good
    assert (result.sites[0].root, result.sites[0].sees, result.sites[0].users) == ("/userapi", "jobs of alice", None)


@pytest.mark.parametrize("release", ["1.2", "1.3"])
async def test_where_the_site_isolates_nobody_the_gateway_says_that_it_does(release: str, start: Start, desk: Desk) -> None:
    address = await start(release)
    desk.add("aurora", address.url, address.site.token("alice"))
    result = await desk.check()
    assert result.is_good and result.sites[0].sees == "jobs of alice"
    assert "shows this token everybody's jobs; the gateway shows those of alice only" in one_warning(result).problem


@pytest.mark.parametrize("release", RELEASES)
async def test_a_pure_api_token_is_good_but_cannot_read_metrics(release: str, start: Start, desk: Desk) -> None:
    address = await start(release)
    desk.add("aurora", address.url, address.site.token("robot"))
    result = await desk.check()
    assert result.is_good and result.sites[0].sees == "all jobs"
    assert "cannot choose the scopes of their metrics" in one_warning(result).problem


async def test_no_token_is_a_problem_even_where_the_site_answers(start: Start, desk: Desk) -> None:
    address = await start("1.5")
    desk.add("aurora", address.url, None)
    result = await desk.check()
    problem = one_problem(result)
    assert problem.key == "sites.aurora.token_file"
    assert "CCGATEWAY_SITES__AURORA__TOKEN" in problem.remedy
    assert result.sites[0].reachable and result.sites[0].accepted is None


async def test_a_token_file_that_cannot_be_read_is_a_problem_of_its_site_only(start: Start, desk: Desk) -> None:
    address, other = await start("1.5"), await start("1.4", "borealis")
    desk.add("aurora", address.url, address.site.token("demo"))
    desk.add("borealis", other.url, other.site.token("demo"))
    (desk.folder / "aurora.jwt").unlink()
    result = await desk.check()
    problem = one_problem(result)
    assert problem.key == "sites.aurora.token_file" and "aurora.jwt cannot be read" in problem.problem
    assert result.sites[1].is_good and result.sites[1].release == "1.4"


async def test_a_variable_that_is_not_set_is_a_problem(start: Start, desk: Desk) -> None:
    address = await start("1.5")
    desk.add("aurora", address.url, None, 'token_env = "CC_TEST_NOT_SET"')
    problem = one_problem(await desk.check())
    assert (problem.key, problem.problem) == ("sites.aurora.token_env", "CC_TEST_NOT_SET is not set")


async def test_a_token_file_that_others_can_read_is_a_problem(start: Start, desk: Desk) -> None:
    address = await start("1.5")
    desk.add("aurora", address.url, address.site.token("demo"))
    (desk.folder / "aurora.jwt").chmod(0o644)
    problem = one_problem(await desk.check())
    assert problem.key == "sites.aurora.token_file" and f"chmod 600 {desk.folder / 'aurora.jwt'}" in problem.remedy


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("unknown ip: 10.0.0.7", "does not admit the gateway's address 10.0.0.7"),
        ("unknown user", "does not know the token's user demo"),
        ("no user for secured check", "does not reach the site"),
    ],
)
async def test_other_refusals_say_what_the_site_minds(
    answer: str, said: str, start: Start, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = await start("1.5")
    monkeypatch.setattr(address.site, "answer", lambda _request: json_error(401, answer))
    desk.add("aurora", address.url, address.site.token("demo"))
    assert said in one_problem(await desk.check()).problem
