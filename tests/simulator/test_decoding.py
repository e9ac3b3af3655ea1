"""Bodies are refused in the words of Go's decoder, as real instances were seen to."""

from __future__ import annotations

import pytest

from ccgateway.simulator.decoding import List, Map, Scalar, Struct, complaint, decode
from ccgateway.simulator.messages import GoError

TAG = Struct("api.ApiTag", {"type": Scalar("string"), "name": Scalar("string")})
STOP = Struct(
    "api.StopJobApiRequest",
    {
        "jobId": Scalar("int64"),
        "numNodes": Scalar("int32"),
        "jobState": Scalar("string", "schema.JobState"),
        "energy": Scalar("float64"),
    },
)
NESTED = Struct(
    "schema.JobMeta",
    {"startTime": Scalar("int64")},
    {"tags": List("[]*schema.Tag", TAG), "metaData": Map("map[string]string", Scalar("string"))},
    "BaseJob.",
)

BROKEN = {
    "": "EOF",
    " \n": "EOF",
    '{"jobId":': "unexpected EOF",
    '"abc': "unexpected EOF",
    "nul": "unexpected EOF",
    '{"jobId":1,,}': "invalid character ',' looking for beginning of object key string",
    '{"jobId":1,}': "invalid character '}' looking for beginning of object key string",
    "{'jobId':1}": r"invalid character '\'' looking for beginning of object key string",
    '{"jobId" 1}': "invalid character '1' after object key",
    '{"jobId":1 "x":2}': "invalid character '\"' after object key:value pair",
    '{"jobId":01}': "invalid character '1' after object key:value pair",
    "[1 2]": "invalid character '2' after array element",
    "[1,]": "invalid character ']' looking for beginning of value",
    "}": "invalid character '}' looking for beginning of value",
    '{"jobId":NaN}': "invalid character 'N' looking for beginning of value",
    '{"jobId":tru}': "invalid character '}' in literal true (expecting 'e')",
    '{"jobId":-}': "invalid character '}' in numeric literal",
    '{"jobId":1.}': "invalid character '}' after decimal point in numeric literal",
    '{"jobId":"\n"}': r"invalid character '\n' in string literal",
    '{"jobId":"\\x"}': "invalid character 'x' in string escape code",
}


@pytest.mark.parametrize("body", BROKEN)
def test_broken_json_is_told_by_what_breaks_it(body: str) -> None:
    with pytest.raises(GoError) as refused:
        decode(body.encode(), STOP)
    assert str(refused.value) == complaint(body) == BROKEN[body]


WRONG = [
    (STOP, "[]", "array into Go value of type api.StopJobApiRequest"),
    (STOP, '{"jobId":"x"}', "string into Go struct field StopJobApiRequest.jobId of type int64"),
    (STOP, '{"jobId":true}', "bool into Go struct field StopJobApiRequest.jobId of type int64"),
    (STOP, '{"jobId":1.5}', "number 1.5 into Go struct field StopJobApiRequest.jobId of type int64"),
    (STOP, '{"jobId":1e2}', "number 1e2 into Go struct field StopJobApiRequest.jobId of type int64"),
    (STOP, '{"numNodes":3000000000}', "number 3000000000 into Go struct field StopJobApiRequest.numNodes of type int32"),
    (STOP, '{"jobState":3}', "number into Go struct field StopJobApiRequest.jobState of type schema.JobState"),
    (STOP, '{"energy":"a"}', "string into Go struct field StopJobApiRequest.energy of type float64"),
    (List("api.TagJobApiRequest", TAG), "{}", "object into Go value of type api.TagJobApiRequest"),
    (List("api.TagJobApiRequest", TAG), "[3]", "number into Go value of type api.ApiTag"),
    (List("api.TagJobApiRequest", TAG), '[{"name":3}]', "number into Go struct field ApiTag.name of type string"),
    (NESTED, '{"startTime":"x"}', "string into Go struct field JobMeta.startTime of type int64"),
    (NESTED, '{"tags":[{"name":3}]}', "number into Go struct field ApiTag.BaseJob.tags.name of type string"),
    (NESTED, '{"tags":{}}', "object into Go struct field JobMeta.BaseJob.tags of type []*schema.Tag"),
    (NESTED, '{"metaData":{"a":1}}', "number into Go struct field JobMeta.BaseJob.metaData of type string"),
    (NESTED, '{"metaData":[1]}', "array into Go struct field JobMeta.BaseJob.metaData of type map[string]string"),
]


@pytest.mark.parametrize(("shape", "body", "reason"), WRONG)
def test_a_value_of_the_wrong_kind_is_told_by_where_it_stands(shape: Struct, body: str, reason: str) -> None:
    with pytest.raises(GoError) as refused:
        decode(body.encode(), shape)
    assert str(refused.value) == f"json: cannot unmarshal {reason}"


def test_unknown_fields_are_refused_and_the_first_complaint_counts() -> None:
    with pytest.raises(GoError, match=r'^json: unknown field "colour"$'):
        decode(b'{"jobId":1,"colour":2,"numNodes":"x"}', STOP)
    with pytest.raises(GoError, match="numNodes"):
        decode(b'{"jobId":1,"numNodes":"x","colour":2}', STOP)


def test_keys_match_whatever_their_case_and_the_last_one_counts() -> None:
    assert decode(b'{"JOBID":1,"jobid":2,"energy":1} and more', STOP) == {"jobId": 2, "energy": 1.0}


def test_null_is_as_good_as_absent() -> None:
    assert decode(b"null", STOP) is None
    assert decode(b'{"jobId":null}', STOP) == {}
    assert decode(b"[null, {}]", List("", TAG)) == [None, {}]
