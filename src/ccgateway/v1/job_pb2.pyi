import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATE_UNSPECIFIED: _ClassVar[JobState]
    JOB_STATE_RUNNING: _ClassVar[JobState]
    JOB_STATE_COMPLETED: _ClassVar[JobState]
    JOB_STATE_DEADLINE: _ClassVar[JobState]
    JOB_STATE_FAILED: _ClassVar[JobState]
    JOB_STATE_CANCELLED: _ClassVar[JobState]
    JOB_STATE_NODE_FAIL: _ClassVar[JobState]
    JOB_STATE_BOOT_FAIL: _ClassVar[JobState]
    JOB_STATE_PENDING: _ClassVar[JobState]
    JOB_STATE_SUSPENDED: _ClassVar[JobState]
    JOB_STATE_STOPPED: _ClassVar[JobState]
    JOB_STATE_TIMEOUT: _ClassVar[JobState]
    JOB_STATE_PREEMPTED: _ClassVar[JobState]
    JOB_STATE_OUT_OF_MEMORY: _ClassVar[JobState]

class NodeSharing(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NODE_SHARING_UNSPECIFIED: _ClassVar[NodeSharing]
    NODE_SHARING_NONE: _ClassVar[NodeSharing]
    NODE_SHARING_SINGLE_USER: _ClassVar[NodeSharing]
    NODE_SHARING_MULTI_USER: _ClassVar[NodeSharing]
JOB_STATE_UNSPECIFIED: JobState
JOB_STATE_RUNNING: JobState
JOB_STATE_COMPLETED: JobState
JOB_STATE_DEADLINE: JobState
JOB_STATE_FAILED: JobState
JOB_STATE_CANCELLED: JobState
JOB_STATE_NODE_FAIL: JobState
JOB_STATE_BOOT_FAIL: JobState
JOB_STATE_PENDING: JobState
JOB_STATE_SUSPENDED: JobState
JOB_STATE_STOPPED: JobState
JOB_STATE_TIMEOUT: JobState
JOB_STATE_PREEMPTED: JobState
JOB_STATE_OUT_OF_MEMORY: JobState
NODE_SHARING_UNSPECIFIED: NodeSharing
NODE_SHARING_NONE: NodeSharing
NODE_SHARING_SINGLE_USER: NodeSharing
NODE_SHARING_MULTI_USER: NodeSharing

class Job(_message.Message):
    __slots__ = ("id", "site", "cluster", "job_id", "start_time", "user", "project", "sub_cluster", "partition", "state", "duration_seconds", "walltime_seconds", "num_nodes", "num_hw_threads", "num_acc", "smt", "shared", "array_job_id", "monitoring_status", "energy_kwh", "tags", "resources", "footprint", "meta_data")
    class FootprintEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class MetaDataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    SUB_CLUSTER_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DURATION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WALLTIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    NUM_NODES_FIELD_NUMBER: _ClassVar[int]
    NUM_HW_THREADS_FIELD_NUMBER: _ClassVar[int]
    NUM_ACC_FIELD_NUMBER: _ClassVar[int]
    SMT_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    ARRAY_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    MONITORING_STATUS_FIELD_NUMBER: _ClassVar[int]
    ENERGY_KWH_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    FOOTPRINT_FIELD_NUMBER: _ClassVar[int]
    META_DATA_FIELD_NUMBER: _ClassVar[int]
    id: str
    site: str
    cluster: str
    job_id: int
    start_time: _timestamp_pb2.Timestamp
    user: str
    project: str
    sub_cluster: str
    partition: str
    state: JobState
    duration_seconds: int
    walltime_seconds: int
    num_nodes: int
    num_hw_threads: int
    num_acc: int
    smt: int
    shared: NodeSharing
    array_job_id: int
    monitoring_status: int
    energy_kwh: float
    tags: _containers.RepeatedCompositeFieldContainer[Tag]
    resources: _containers.RepeatedCompositeFieldContainer[Resource]
    footprint: _containers.ScalarMap[str, float]
    meta_data: _containers.ScalarMap[str, str]
    def __init__(self, id: _Optional[str] = ..., site: _Optional[str] = ..., cluster: _Optional[str] = ..., job_id: _Optional[int] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., user: _Optional[str] = ..., project: _Optional[str] = ..., sub_cluster: _Optional[str] = ..., partition: _Optional[str] = ..., state: _Optional[_Union[JobState, str]] = ..., duration_seconds: _Optional[int] = ..., walltime_seconds: _Optional[int] = ..., num_nodes: _Optional[int] = ..., num_hw_threads: _Optional[int] = ..., num_acc: _Optional[int] = ..., smt: _Optional[int] = ..., shared: _Optional[_Union[NodeSharing, str]] = ..., array_job_id: _Optional[int] = ..., monitoring_status: _Optional[int] = ..., energy_kwh: _Optional[float] = ..., tags: _Optional[_Iterable[_Union[Tag, _Mapping]]] = ..., resources: _Optional[_Iterable[_Union[Resource, _Mapping]]] = ..., footprint: _Optional[_Mapping[str, float]] = ..., meta_data: _Optional[_Mapping[str, str]] = ...) -> None: ...

class JobKey(_message.Message):
    __slots__ = ("site", "cluster", "job_id", "start_time")
    SITE_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    site: str
    cluster: str
    job_id: int
    start_time: _timestamp_pb2.Timestamp
    def __init__(self, site: _Optional[str] = ..., cluster: _Optional[str] = ..., job_id: _Optional[int] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Tag(_message.Message):
    __slots__ = ("type", "name", "scope", "id")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    type: str
    name: str
    scope: str
    id: str
    def __init__(self, type: _Optional[str] = ..., name: _Optional[str] = ..., scope: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class Resource(_message.Message):
    __slots__ = ("hostname", "hwthreads", "accelerators", "configuration")
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    HWTHREADS_FIELD_NUMBER: _ClassVar[int]
    ACCELERATORS_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    hostname: str
    hwthreads: _containers.RepeatedScalarFieldContainer[int]
    accelerators: _containers.RepeatedScalarFieldContainer[str]
    configuration: str
    def __init__(self, hostname: _Optional[str] = ..., hwthreads: _Optional[_Iterable[int]] = ..., accelerators: _Optional[_Iterable[str]] = ..., configuration: _Optional[str] = ...) -> None: ...
