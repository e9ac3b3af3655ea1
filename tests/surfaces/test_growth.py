"""Work grows with what somebody sends and no faster: dimensions of a document are multiplied, and calls are counted, not time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from graphql import is_abstract_type, parse, specified_rules, validate
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.settings import LimitSettings
from ccgateway.surfaces.graphql.documents import RULES, Documents
from ccgateway.surfaces.graphql.failures import Refusal
from ccgateway.surfaces.graphql.schema import core_schema
from support.calls import counted_calls

LIMITS = LimitSettings()  # type: ignore[call-arg]

DIMENSIONS: dict[str, Callable[[int], str]] = {
    "fields in inline fragments": lambda n: "{ jobs { items { " + "... { cluster } " * n + "} } }",
    "objects in inline fragments": lambda n: (
        "{ " + "... on Query { jobs { items { id user state } count complete } } " * n + "}"
    ),
    "fragments in inline fragments": lambda n: (
        "{ jobs { items { " + " ".join(f"... {{ ...F{i} }}" for i in range(n // 2)) + " } } }"
        + " ".join(f"fragment F{i} on Job {{ id cluster }}" for i in range(n // 2))
    ),
    "fragments in a chain": lambda n: (
        "{ jobs { items { ...F0 } } }"
        + " ".join(f"fragment F{i} on Job {{ id ...F{i + 1} }}" for i in range(n // 2))
        + f"fragment F{n // 2} on Job {{ id }}"
    ),
    "unknown fields": lambda n: "{ jobs { " + " ".join(f"unknown{i}" for i in range(n)) + " } }",
    "unknown arguments": lambda n: "{ jobs(" + " ".join(f"first{i}: 1" for i in range(n)) + ") { complete } }",
    "unknown keys": lambda n: "{ jobs(filter: {" + " ".join(f"f{i}: 1" for i in range(n)) + "}) { complete } }",
    "variables": lambda n: "query(" + " ".join(f"$v{i}: Int" for i in range(n)) + ") { jobs { complete } }",
    "directives": lambda n: "{ jobs " + "@skip(if: false) " * n + "{ complete } }",
    "items": lambda n: "{ jobs(sites: [" + '"a" ' * n + "]) { complete } }",
    "operations": lambda n: " ".join(f"query Q{i} {{ jobs {{ complete }} }}" for i in range(n // 3)),
    "threads": lambda n: (
        'mutation { startJobs(jobs: [{jobId: 1 user: "u" cluster: "c" startTime: "" resources: [{hostname: "h" hwthreads: ['
        + " ".join(map(str, range(n))) + "]}]}]) { outcome } }"
    ),
    "texts without an end": lambda n: '{ jobs } """' + '\n\\"""' * n,
}  # fmt: skip


@pytest.mark.parametrize("name", DIMENSIONS)
def test_reading_a_document_takes_work_in_proportion_to_it(name: str) -> None:
    def read(n: int) -> None:
        try:
            Documents(core_schema(), LIMITS).get(DIMENSIONS[name](n))
        except Refusal as refusal:
            assert sum(len(entry["message"]) for entry in refusal.entries) < 30_000

    read(2)
    with counted_calls() as small:
        read(18)
    with counted_calls() as large:
        read(144)
    assert large.count < 8 * 1.6 * small.count  # 64 times as much if each were compared with each other


def test_the_schema_has_no_types_that_stand_for_several() -> None:
    """Else fields of one key may differ (``merging``)."""
    assert not [name for name, one in core_schema().type_map.items() if is_abstract_type(one)]


_leaves = st.sampled_from(["id", "user", "id: user", "x: id", "x: user", "...F", "...G", "tags { name }", "tags { name: type }"])
_jobs = st.sampled_from(["jobs", "jobs(first: 1)", "jobs(first: 2)", "jobs(filter: {user: {eq: \"a\"}, node: {eq: \"b\"}})",
                         "jobs(filter: {node: {eq: \"b\"}, user: {eq: \"a\"}})"])  # fmt: skip
_bodies = st.lists(st.one_of(_leaves, _leaves.map(lambda one: f"... {{ {one} }}")), min_size=1, max_size=4).map(" ".join)


@given(roots=st.lists(st.tuples(_jobs, _bodies), min_size=1, max_size=3), f=_bodies, g=_bodies)
def test_it_says_the_same_of_fields_as_graphql_core(roots: list[tuple[str, str]], f: str, g: str) -> None:
    f, g = f.replace("...F", "id").replace("...G", "id"), g.replace("...G", "id").replace("...F", "user")
    fields = " ".join(f"{jobs} {{ items {{ {body} }} }}" for jobs, body in roots)
    document = parse(f"{{ {fields} }} fragment F on Job {{ {f} }} fragment G on Job {{ {g} }}")
    # with all other rules: fields of fragments that nothing uses are looked at by graphql-core's rule only
    ours, theirs = (validate(core_schema(), document, rules) for rules in (RULES, specified_rules))
    assert bool(ours) is bool(theirs)


@pytest.mark.parametrize(
    ("values", "is_valid"), [(range(200), True), ([*range(200), 1 << 31], False), ([-(1 << 31) - 1, *range(200)], False)]
)
def test_of_many_integers_each_still_must_fit(values: list[int], is_valid: bool) -> None:
    start = '{jobId: 1 user: "u" cluster: "c" startTime: "" resources: [{hostname: "h" hwthreads: [%s]}]}'
    text = "mutation { startJobs(jobs: [" + start % " ".join(map(str, values)) + "]) { outcome } }"
    documents = Documents(core_schema(), LIMITS)
    if is_valid:
        assert str(values[-1]) in str(documents.get(text).node.to_dict())
    else:
        with pytest.raises(Refusal):
            documents.get(text)


def test_a_job_of_128_nodes_with_128_threads_can_be_written_down() -> None:
    threads = " ".join(map(str, range(128)))
    hosts = " ".join(f'{{hostname: "h{i}" hwthreads: [{threads}]}}' for i in range(128))
    text = (
        f'mutation {{ startJobs(jobs: [{{jobId: 1 user: "u" cluster: "c" startTime: "" resources: [{hosts}]}}]) {{ outcome }} }}'
    )
    assert Documents(core_schema(), LIMITS).get(text).items.others == 128 * 128
