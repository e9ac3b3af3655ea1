import datetime

from ccgateway.v1 import job_pb2 as _job_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RecentTime(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RECENT_TIME_UNSPECIFIED: _ClassVar[RecentTime]
    RECENT_TIME_LAST_6_HOURS: _ClassVar[RecentTime]
    RECENT_TIME_LAST_24_HOURS: _ClassVar[RecentTime]
    RECENT_TIME_LAST_7_DAYS: _ClassVar[RecentTime]
    RECENT_TIME_LAST_30_DAYS: _ClassVar[RecentTime]

class Schedule(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCHEDULE_UNSPECIFIED: _ClassVar[Schedule]
    SCHEDULE_INTERACTIVE: _ClassVar[Schedule]
    SCHEDULE_BATCH: _ClassVar[Schedule]

class SortDirection(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SORT_DIRECTION_UNSPECIFIED: _ClassVar[SortDirection]
    SORT_DIRECTION_ASCENDING: _ClassVar[SortDirection]
    SORT_DIRECTION_DESCENDING: _ClassVar[SortDirection]
RECENT_TIME_UNSPECIFIED: RecentTime
RECENT_TIME_LAST_6_HOURS: RecentTime
RECENT_TIME_LAST_24_HOURS: RecentTime
RECENT_TIME_LAST_7_DAYS: RecentTime
RECENT_TIME_LAST_30_DAYS: RecentTime
SCHEDULE_UNSPECIFIED: Schedule
SCHEDULE_INTERACTIVE: Schedule
SCHEDULE_BATCH: Schedule
SORT_DIRECTION_UNSPECIFIED: SortDirection
SORT_DIRECTION_ASCENDING: SortDirection
SORT_DIRECTION_DESCENDING: SortDirection

class JobFilter(_message.Message):
    __slots__ = ("tag_ids", "ids", "job_id", "array_job_id", "user", "project", "job_name", "cluster", "sub_cluster", "partition", "node", "duration_seconds", "num_nodes", "num_acc", "num_hw_threads", "energy_kwh", "start_time", "states", "footprint", "shared", "schedule")
    TAG_IDS_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ARRAY_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    JOB_NAME_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    SUB_CLUSTER_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    DURATION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    NUM_NODES_FIELD_NUMBER: _ClassVar[int]
    NUM_ACC_FIELD_NUMBER: _ClassVar[int]
    NUM_HW_THREADS_FIELD_NUMBER: _ClassVar[int]
    ENERGY_KWH_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    FOOTPRINT_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    tag_ids: _containers.RepeatedScalarFieldContainer[str]
    ids: _containers.RepeatedScalarFieldContainer[str]
    job_id: StringFilter
    array_job_id: int
    user: StringFilter
    project: StringFilter
    job_name: StringFilter
    cluster: StringFilter
    sub_cluster: StringFilter
    partition: StringFilter
    node: StringFilter
    duration_seconds: Int64Range
    num_nodes: Int64Range
    num_acc: Int64Range
    num_hw_threads: Int64Range
    energy_kwh: DoubleRange
    start_time: TimeRange
    states: _containers.RepeatedScalarFieldContainer[_job_pb2.JobState]
    footprint: _containers.RepeatedCompositeFieldContainer[FootprintRange]
    shared: _job_pb2.NodeSharing
    schedule: Schedule
    def __init__(self, tag_ids: _Optional[_Iterable[str]] = ..., ids: _Optional[_Iterable[str]] = ..., job_id: _Optional[_Union[StringFilter, _Mapping]] = ..., array_job_id: _Optional[int] = ..., user: _Optional[_Union[StringFilter, _Mapping]] = ..., project: _Optional[_Union[StringFilter, _Mapping]] = ..., job_name: _Optional[_Union[StringFilter, _Mapping]] = ..., cluster: _Optional[_Union[StringFilter, _Mapping]] = ..., sub_cluster: _Optional[_Union[StringFilter, _Mapping]] = ..., partition: _Optional[_Union[StringFilter, _Mapping]] = ..., node: _Optional[_Union[StringFilter, _Mapping]] = ..., duration_seconds: _Optional[_Union[Int64Range, _Mapping]] = ..., num_nodes: _Optional[_Union[Int64Range, _Mapping]] = ..., num_acc: _Optional[_Union[Int64Range, _Mapping]] = ..., num_hw_threads: _Optional[_Union[Int64Range, _Mapping]] = ..., energy_kwh: _Optional[_Union[DoubleRange, _Mapping]] = ..., start_time: _Optional[_Union[TimeRange, _Mapping]] = ..., states: _Optional[_Iterable[_Union[_job_pb2.JobState, str]]] = ..., footprint: _Optional[_Iterable[_Union[FootprintRange, _Mapping]]] = ..., shared: _Optional[_Union[_job_pb2.NodeSharing, str]] = ..., schedule: _Optional[_Union[Schedule, str]] = ...) -> None: ...

class StringFilter(_message.Message):
    __slots__ = ("eq", "neq", "contains", "starts_with", "ends_with", "any_of")
    EQ_FIELD_NUMBER: _ClassVar[int]
    NEQ_FIELD_NUMBER: _ClassVar[int]
    CONTAINS_FIELD_NUMBER: _ClassVar[int]
    STARTS_WITH_FIELD_NUMBER: _ClassVar[int]
    ENDS_WITH_FIELD_NUMBER: _ClassVar[int]
    ANY_OF_FIELD_NUMBER: _ClassVar[int]
    eq: str
    neq: str
    contains: str
    starts_with: str
    ends_with: str
    any_of: StringList
    def __init__(self, eq: _Optional[str] = ..., neq: _Optional[str] = ..., contains: _Optional[str] = ..., starts_with: _Optional[str] = ..., ends_with: _Optional[str] = ..., any_of: _Optional[_Union[StringList, _Mapping]] = ...) -> None: ...

class StringList(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, values: _Optional[_Iterable[str]] = ...) -> None: ...

class Int64Range(_message.Message):
    __slots__ = ("min", "max")
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    min: int
    max: int
    def __init__(self, min: _Optional[int] = ..., max: _Optional[int] = ...) -> None: ...

class DoubleRange(_message.Message):
    __slots__ = ("min", "max")
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    min: float
    max: float
    def __init__(self, min: _Optional[float] = ..., max: _Optional[float] = ...) -> None: ...

class TimeRange(_message.Message):
    __slots__ = ("not_before", "not_after", "recent")
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    RECENT_FIELD_NUMBER: _ClassVar[int]
    not_before: _timestamp_pb2.Timestamp
    not_after: _timestamp_pb2.Timestamp
    recent: RecentTime
    def __init__(self, not_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., not_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., recent: _Optional[_Union[RecentTime, str]] = ...) -> None: ...

class FootprintRange(_message.Message):
    __slots__ = ("key", "range")
    KEY_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    key: str
    range: DoubleRange
    def __init__(self, key: _Optional[str] = ..., range: _Optional[_Union[DoubleRange, _Mapping]] = ...) -> None: ...

class JobOrder(_message.Message):
    __slots__ = ("field", "footprint", "direction")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    FOOTPRINT_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    field: str
    footprint: bool
    direction: SortDirection
    def __init__(self, field: _Optional[str] = ..., footprint: _Optional[bool] = ..., direction: _Optional[_Union[SortDirection, str]] = ...) -> None: ...
