"""The words of Go's standard library."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.surfaces.rest.bodies import STARTED, read_ended, read_named, read_started, read_tags, schema_of
from ccgateway.surfaces.rest.go_compat import decode_json, json_response, parse_int

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize("text", ["0", "+5", "-5", "007", "9223372036854775807", "-9223372036854775808"])
def test_integers_as_strconv_reads_them(text: str) -> None:
    assert parse_int(text) == int(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 'parsing "": invalid syntax'),
        ("1_000", 'parsing "1_000": invalid syntax'),
        (" 5", 'parsing " 5": invalid syntax'),
        ("٣", 'parsing "٣": invalid syntax'),
        ("9223372036854775808", 'parsing "9223372036854775808": value out of range'),
        ("9" * 5000, f'parsing "{"9" * 5000}": value out of range'),
        ('a"b\\', 'parsing "a\\"b\\\\": invalid syntax'),
    ],
)
def test_what_is_no_integer_is_told_as_strconv_tells_it(text: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_int(text, "Atoi")
    assert str(caught.value) == f"strconv.Atoi: {words}"


@given(values)
def test_json_is_read_as_ever(value: Any) -> None:
    assert decode_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "EOF"),
        (b" \n", "EOF"),
        (b'{"a":', "unexpected EOF"),
        (b'"abc', "unexpected EOF"),
        (b"x", "invalid character 'x' looking for beginning of value"),
        (b"{tags", "invalid character 't' looking for beginning of object key string"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b"[1 2]", "invalid character '2' after array element"),
        (b'{"a":1 "b":2}', "invalid character '\"' after object key:value pair"),
        (b"[1,]", "invalid character ']' looking for beginning of value"),
        (b"[" * 5000, "exceeded max depth"),
    ],
)
def test_what_is_no_json_is_told_as_encoding_json_tells_it(body: bytes, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        decode_json(body)
    assert str(caught.value) == words


@pytest.mark.parametrize("body", [b"[1] and more", b'[1]{"a":'])
def test_what_follows_the_first_value_does_not_matter(body: bytes) -> None:
    assert decode_json(body) == [1]


@given(st.binary(max_size=60))
def test_bodies_of_any_kind_are_read_or_refused(body: bytes) -> None:
    for read in (read_tags, read_named, read_ended, read_started):
        try:
            read(body)
        except ValueError:
            continue


def test_text_is_escaped_as_go_does() -> None:
    assert bytes(json_response({"a": "<&>\u2028é"}).body) == '{"a":"\\u003c\\u0026\\u003e\\u2028é"}\n'.encode()


def test_a_schema_names_every_key_of_a_body() -> None:
    schema = schema_of(STARTED)
    assert set(schema["properties"]) == set(STARTED.keys)
    assert schema["properties"]["resources"]["items"]["properties"]["hwthreads"] == {
        "type": "array", "items": {"type": "integer", "format": "int64"},
    }  # fmt: skip
    assert schema["additionalProperties"] is False and "jobId" in schema["required"]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (rb'"\ud800"', "\ufffd"),
        (rb'"a\uDC00b"', "a\ufffdb"),
        (rb'"\ud800\ud800"', "\ufffd\ufffd"),
        (rb'"\ud83d\ude00"', "\U0001f600"),
        (rb'"\\ud800"', r"\ud800"),
        (rb'{"\udfff": ["\ud800x"]}', {"\ufffd": ["\ufffdx"]}),
    ],
)
def test_a_surrogate_that_is_alone_is_read_as_go_reads_it(text: bytes, read: object) -> None:
    assert decode_json(text) == read


def test_nulls_of_text_and_numbers_are_what_go_makes_of_them_and_others_are_passed_over() -> None:
    command = read_started(
        b'{"resources":[null,{"hostname":"a","hwthreads":[null]}],"tags":[null],"metaData":{"a":null},"user":null}'
    )
    assert [(one.hostname, one.hwthreads) for one in command.resources] == [("a", (0,))]
    assert command.meta_data == {"a": ""} and not command.tags and command.user == ""
