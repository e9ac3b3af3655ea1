"""The same parameters and bodies to cc-backend 1.5.4 itself and to the gateway's face of it: statuses of one class.

Every case is told to both: to the instance, and through ``/cc-backend/1.5`` to the same instance, where whatever a case starts
has a number of its own at each. What may differ says ``has_a_reason``.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest

from acceptance.recorded import FACE
from live.faces import served
from live.farm import SCRATCH, Farm, Site
from live.test_rest import Got, asked
from live.upstream import call, listed

#: seconds after which 1.5 shows whatever was started, if it commits as often as README.md says
COMMITTED = 10
#: numbers of the jobs of these tests, which are removed again
FIRST = 9_800_000
SEED, CASES = int(os.environ.get("CCGATEWAY_SEED", "11")), 400
_numbers = itertools.count(FIRST + int(time.time()) % 100_000)

JSON = "application/json"
#: what stands for whatever a body or parameter can hold, as JSON writes it
ODD = (
    "null", '""', "0", "-1", "1.5", "1e2", '"7"', "[]", "{}", "true", "2147483648", "9223372036854775807", "9223372036854775808",
    "1" * 40, '"\\ud800"', '"\\u0000"', '"ä"', "[null]", "[[]]", '[""]', "[1]", "[{}]", '{"a":null}', '{"a":1}', "1e400", "-0",
)  # fmt: skip
ODD_TEXTS = (
    "", "0", "-1", "1.5", "x", "7", "%00", "%FF", "9999999", "9223372036854775807", "9223372036854775808", "5-6", "5-", "-5",
    "6-5", "a&b=c",
)  # fmt: skip
ODD_IDS = ("x", "-1", "0", "99999999", "9223372036854775807", "9223372036854775808", "1.5", " ", "7x")
READS = ("/jobs/{}", "/jobs/metrics/{}", "/jobs/{}?all-metrics=true", "/jobs/used_nodes?ts={}", "/clusters/?cluster={}")
TAGGED = ("{id}", "99999999", "x")
TAGS = (
    "[]", "null", "{}", "", "[null]", '[{"type":"","name":""}]', '[{"type":1}]', '[{"odd":1}]', '[{"type":"a"}]', "[[]]",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A request; ``{n}`` stands for a number that no job has yet, ``{id}`` for the id of a job that ended long ago."""

    method: str
    path: str
    body: str | bytes | None = None
    kind: str = JSON

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.body!r:.300}"


def start(n: str, **changes: Any) -> dict[str, Any]:
    """A body that starts a job."""
    job: dict[str, Any] = {
        "jobId": n, "user": "alice", "project": "p", "cluster": "aurora", "subCluster": "main", "partition": "main",
        "numNodes": 1, "walltime": 60, "shared": "none", "smt": 1, "monitoringStatus": 1, "startTime": 1_700_000_000,
        "metaData": {}, "resources": [{"hostname": "an001"}], "tags": [],
    }  # fmt: skip
    return job | changes


KEY = {"jobId": "{n}", "cluster": "aurora", "startTime": 1_700_000_000}
#: by method and path: a body that is good, as the pairs of its keys
BODIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("POST", "/jobs/start_job/", start("{n}")),
    ("POST", "/jobs/stop_job/", KEY | {"jobState": "failed", "stopTime": 1_700_000_100}),
    ("DELETE", "/jobs/delete_job/", KEY),
    ("PATCH", "/jobs/edit_meta/{id}", {"key": "note", "value": "x"}),
    ("PATCH", "/jobs/edit_meta/", KEY | {"payload": {"key": "a", "value": "b"}}),
    ("POST", "/user/nobody", {"add-role": "user", "remove-role": "", "add-project": "", "remove-project": ""}),
)  # fmt: skip


#: what stands within the body that starts a job
PARTS: dict[str, dict[str, Any]] = {
    "resources": {"hostname": "an001", "hwthreads": [0, 1], "accelerators": ["0"], "configuration": "x"},
    "tags": {"type": "a", "name": "b", "scope": "global"},
    "metaData": {"jobName": "alice's", "note": "x"},
}


def mutated(good: Mapping[str, Any], chance: random.Random) -> str | bytes:
    """``good`` with something wrong, odd or merely unusual about it, as it is sent."""
    pairs = [(json.dumps(key), json.dumps(value).replace('"{n}"', "{n}")) for key, value in good.items()]
    at = chance.randrange(len(pairs))
    key, value = pairs[at]
    whole = "{" + ",".join(f"{k}:{v}" for k, v in pairs) + "}"
    match chance.randrange(12):
        case 0:
            del pairs[at]
        case 1:
            pairs[at] = key.upper(), value
        case 2:
            pairs.append((key, chance.choice(ODD)))
        case 3:
            pairs.append(('"odd"', chance.choice(ODD)))
        case 4:
            return whole[: chance.randrange(len(whole))].replace("{n", "{{n}")[:2000]
        case 5:
            return whole + chance.choice((" ", "x", "{}", "\x00", "]"))
        case 6:
            return chance.choice(("", " ", "null", "[]", "{}", "1", '"x"', "{]", "\ufeff" + whole, "{" * 12_000, "[" * 12_000))
        case 7:
            return whole.encode().replace(b"alice", b"al\xffce").replace(b"note", b"n\xffte").replace(b"failed", b"fail\xff")
        case _:
            pairs[at] = key, chance.choice(ODD)
    return "{" + ",".join(f"{k}:{v}" for k, v in pairs) + "}"


def cases(seed: int, count: int) -> Iterator[Case]:
    """``count`` cases, the same for the same seed."""
    chance = random.Random(seed)
    names = ("state", "cluster", "project", "start-time", "page", "items-per-page", "with-metadata", "odd")
    for _ in range(count):
        match chance.randrange(8):
            case 0 | 1:
                query = "&".join(f"{chance.choice(names)}={chance.choice(ODD_TEXTS)}" for _ in range(chance.randint(1, 3)))
                yield Case("GET", f"/jobs/?{query}")
            case 2:
                yield Case("GET", chance.choice(READS).format(quote(chance.choice(ODD_IDS))))
            case 3:
                yield Case(
                    chance.choice(("POST", "PATCH", "DELETE")), f"/jobs/tag_job/{chance.choice(TAGGED)}", chance.choice(TAGS)
                )
            case 4:
                yield Case(
                    "POST", "/jobs/{id}", chance.choice((*ODD, "", "[", '["cpu_load"]', '["cpu_load",null]', '["cpu_load"] x'))
                )
            case 5:
                name, good = chance.choice(list(PARTS.items()))
                part = mutated(good, chance)
                raw = part.encode() if isinstance(part, str) else part
                listed = raw if name == "metaData" else b"[" + raw + b"]"
                body = json.dumps(start("{n}") | {name: "{part}"}).replace('"{n}"', "{n}").encode()
                yield Case("POST", "/jobs/start_job/", body.replace(b'"{part}"', listed))
            case _:
                method, path, good = chance.choice(BODIES)
                yield Case(method, path, mutated(good, chance))


def has_a_reason(case: Case, real: Got, ours: Got) -> bool:
    """Whether the two may differ."""
    if real.status >= 500 and ours.status < 500:  # over a tag that is null, which the gateway passes over
        return True
    if b"lies more than a day ahead" in ours.body:  # a start that no job can have, and that breaks the instance's own lists later
        return ours.status == 400
    # a job that is named by a number of the case's own is one job for both, and the instance was told first
    is_one_job = isinstance(case.body, str) and "{n}" not in case.body
    return is_one_job and real.status == 200 and ours.status == 422 and b"has already been stopped" in ours.body


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    found = Farm.named_by(SCRATCH)
    if found is None:
        pytest.skip(f"{SCRATCH} is not set: it names the farm.json of real cc-backend instances that tests may alter")
    found_there = found.one("at-1-5-4")
    before = {row["id"] for row in listed(found_there)}
    yield found_there
    time.sleep(COMMITTED)
    for row in listed(found_there):
        if row["id"] not in before:
            call(found_there, "DELETE", f"/api/jobs/delete_job/{row['id']}")


@pytest.fixture(scope="module")
def url(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served([site.settings()], tmp_path_factory.mktemp("differential")) as found:
        yield found


def test_odd_parameters_and_bodies_get_answers_of_one_class_with_the_instances_own(site: Site, url: str) -> None:
    known = json.loads(asked(site.url, "GET", "/api/jobs/?items-per-page=2&state=completed", None, _as_demo(site)).body)
    (first, second), differing = (job["id"] for job in known["jobs"]), list[str]()
    seen: Counter[tuple[int, int]] = Counter()
    for case in cases(SEED, CASES):
        real = _sent(site.url, "/api", case, first, _as_demo(site))
        ours = _sent(url, FACE + "/api", case, second * 1000 + site.number, {})
        seen[real.status, ours.status] += 1
        is_same = real.status // 100 == ours.status // 100
        if not is_same and not has_a_reason(case, real, ours):
            differing.append(f"{case}\n  there {real.status} {real.body[:200]!r}\n  here  {ours.status} {ours.body[:200]!r}")
    assert len(seen) > 5, seen
    assert not differing, f"{len(differing)} of {CASES}:\n" + "\n".join(differing)


def _as_demo(site: Site) -> dict[str, str]:
    return {"X-Auth-Token": site.tokens["demo"]}


def _sent(url: str, base: str, case: Case, own: int, headers: Mapping[str, str]) -> Got:
    number, body = str(next(_numbers)), case.body
    if isinstance(body, str):
        body = body.replace("{n}", number).encode("utf-8", "surrogatepass")
    elif body is not None:
        body = body.replace(b"{n}", number.encode())
    return asked(url, case.method, base + case.path.replace("{id}", str(own)), body, {"Content-Type": case.kind, **headers})
