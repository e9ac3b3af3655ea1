"""What roles allow, and when that is more than others allow."""

from __future__ import annotations

from itertools import combinations

import pytest

from ccgateway.identity.roles import EVERYTHING, Ability, abilities, no_more_than

ROLES = ("admin", "support", "manager", "user", "api")
SETS = [frozenset(names) for size in range(6) for names in combinations(ROLES, size)]


@pytest.mark.parametrize(
    ("less", "more", "is_so"),
    [
        ({"user"}, {"admin"}, True),
        ({"admin"}, {"user"}, False),
        ({"user"}, {"manager"}, True),
        ({"manager"}, {"support"}, True),
        ({"support"}, {"admin"}, True),
        ({"admin"}, {"support"}, False),
        ({"api"}, {"admin"}, True),
        ({"api"}, {"support"}, False),
        ({"support"}, {"api"}, False),
        ({"user"}, {"api"}, False),
        ({"api"}, {"user", "api"}, False),  # less in number, and everybody's jobs
        ({"user", "api"}, {"user"}, True),
        ({"admin", "api"}, {"admin"}, True),
        (set(), {"user"}, True),
        ({"user"}, set(), False),
        ({"janitor"}, {"user"}, True),
    ],
)
def test_roles_are_compared_by_what_they_allow(less: set[str], more: set[str], is_so: bool) -> None:
    assert no_more_than(less, more) is is_so


def test_to_be_no_more_is_an_order() -> None:
    for one in SETS:
        assert no_more_than(one, one) and no_more_than(frozenset(), one) and no_more_than(one, {"admin"})
        for two in SETS:
            for three in SETS:
                assert not (no_more_than(one, two) and no_more_than(two, three)) or no_more_than(one, three)


def test_only_a_machine_and_the_privileged_see_every_job() -> None:
    for roles in SETS:
        sees_all = Ability.ALL_JOBS in abilities(roles)
        assert sees_all == (roles == {"api"} or bool(roles & {"admin", "support"}))
        assert (abilities(roles) == EVERYTHING) == ("admin" in roles)
