"""What a request holds is counted in its bytes before it is read: no message is small there and huge in memory."""

from __future__ import annotations

import time
from typing import Any

import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.errors import Code, RequestError
from ccgateway.settings import LimitSettings
from ccgateway.surfaces.grpc.costs import check_commands, check_fields, check_filters
from ccgateway.v1 import job_pb2
from ccgateway.v1.jobs_service_pb2 import ListJobsRequest
from ccgateway.v1.writes_service_pb2 import NewJob, StartJobsRequest

LIMITS = LimitSettings.model_validate({})
MOST = 200_000


def messages_in(message: Message) -> int:
    """How many messages there are within, at whatever depth."""
    found = 0
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            found += len(value)
            continue
        for one in value if field.is_repeated else (value,):
            found += 1 + messages_in(one)
    return found


#: pieces of messages, proper and not: fields of all kinds, empty messages, groups, numbers that are too long, garbage
_pieces = st.one_of(
    st.sampled_from([
        b"\x0a\x00", b"\x0a\x02\x0a\x00", b"\x12\x00", b"\x18\x01", b"\x0b", b"\x0c", b"\x0b\x0a\x01\xff\x0c", b"\x1d1234",
        b"\x1912345678", b"\x8a\x80\x00\x00", b"\x0a\x80\x00", b"\xfa\x01\x03abc", b"\x0a\x04\x1a\x02\x0a\x00",
        b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    ]),
    st.binary(max_size=6),
)  # fmt: skip


@given(body=st.lists(_pieces, max_size=12).map(b"".join), kind=st.sampled_from([ListJobsRequest, StartJobsRequest, NewJob]))
def test_whatever_the_library_reads_no_message_in_it_goes_uncounted(body: bytes, kind: Any) -> None:
    try:
        found = messages_in(kind.FromString(body))
    except DecodeError:
        return
    if found:
        with pytest.raises(RequestError):
            check_fields(body, kind, found - 1)


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a\x00" * 4_000_000,
        b"\x0a\x02\x1a\x00" * 2_000_000,
        b"\x0b\x0a\x01\xff\x0c" + b"\x0a\x00" * 4_000_000,  # behind what looks broken, and is a group that nobody knows
        b"\x12\x00" * 4_000_000,
        b"\x0a\x00" * 4_000_000 + b"\xff",
        b"\xff" * 8_000_000,
    ],
)
def test_millions_of_fields_are_refused_before_they_are_read(body: bytes) -> None:
    began = time.process_time()
    with pytest.raises(RequestError) as refused:
        check_fields(body, ListJobsRequest, MOST)
    assert refused.value.code is Code.LIMIT_EXCEEDED
    assert time.process_time() - began < 3


def test_what_costs_as_much_as_it_may_passes() -> None:
    job = NewJob(job_id=1, user="u", project="p", cluster="c", sub_cluster="s", partition="q", num_nodes=128, walltime_seconds=9)
    job.resources.extend(job_pb2.Resource(hostname=f"n{i}", hwthreads=range(128)) for i in range(128))
    large = StartJobsRequest(jobs=[job, job])
    check_fields(large.SerializeToString(), StartJobsRequest, MOST)
    check_commands(large, 2, LIMITS)
    small = NewJob(job_id=1, user="u", project="p", cluster="c", sub_cluster="s", partition="q", resources=[{"hostname": "n"}])
    many = StartJobsRequest(jobs=[small] * 5000)
    check_fields(many.SerializeToString(), StartJobsRequest, MOST)


def test_lists_are_counted_no_further_than_to_their_limit() -> None:
    request = ListJobsRequest(filters=[{} for _ in range(150_000)])
    began = time.process_time()
    with pytest.raises(RequestError, match="filters; the limit is 100"):
        check_filters(request)
    assert time.process_time() - began < 0.2
