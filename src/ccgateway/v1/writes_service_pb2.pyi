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

class WriteOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WRITE_OUTCOME_UNSPECIFIED: _ClassVar[WriteOutcome]
    WRITE_OUTCOME_DONE: _ClassVar[WriteOutcome]
    WRITE_OUTCOME_UNCHANGED: _ClassVar[WriteOutcome]
    WRITE_OUTCOME_PENDING: _ClassVar[WriteOutcome]
    WRITE_OUTCOME_FAILED: _ClassVar[WriteOutcome]
    WRITE_OUTCOME_UNKNOWN: _ClassVar[WriteOutcome]

class SparedJobs(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SPARED_JOBS_UNSPECIFIED: _ClassVar[SparedJobs]
    SPARED_JOBS_TAGGED: _ClassVar[SparedJobs]
    SPARED_JOBS_TAGGED_BY_USERS: _ClassVar[SparedJobs]
WRITE_OUTCOME_UNSPECIFIED: WriteOutcome
WRITE_OUTCOME_DONE: WriteOutcome
WRITE_OUTCOME_UNCHANGED: WriteOutcome
WRITE_OUTCOME_PENDING: WriteOutcome
WRITE_OUTCOME_FAILED: WriteOutcome
WRITE_OUTCOME_UNKNOWN: WriteOutcome
SPARED_JOBS_UNSPECIFIED: SparedJobs
SPARED_JOBS_TAGGED: SparedJobs
SPARED_JOBS_TAGGED_BY_USERS: SparedJobs

class JobTarget(_message.Message):
    __slots__ = ("id", "site", "cluster", "job_id", "start_time")
    ID_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    site: str
    cluster: str
    job_id: int
    start_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., site: _Optional[str] = ..., cluster: _Optional[str] = ..., job_id: _Optional[int] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class NewJob(_message.Message):
    __slots__ = ("job_id", "user", "cluster", "start_time", "resources", "site", "project", "sub_cluster", "partition", "array_job_id", "num_nodes", "num_hw_threads", "num_acc", "smt", "monitoring_status", "shared", "walltime_seconds", "tags", "meta_data")
    class MetaDataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    SUB_CLUSTER_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    ARRAY_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    NUM_NODES_FIELD_NUMBER: _ClassVar[int]
    NUM_HW_THREADS_FIELD_NUMBER: _ClassVar[int]
    NUM_ACC_FIELD_NUMBER: _ClassVar[int]
    SMT_FIELD_NUMBER: _ClassVar[int]
    MONITORING_STATUS_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    WALLTIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    META_DATA_FIELD_NUMBER: _ClassVar[int]
    job_id: int
    user: str
    cluster: str
    start_time: _timestamp_pb2.Timestamp
    resources: _containers.RepeatedCompositeFieldContainer[_job_pb2.Resource]
    site: str
    project: str
    sub_cluster: str
    partition: str
    array_job_id: int
    num_nodes: int
    num_hw_threads: int
    num_acc: int
    smt: int
    monitoring_status: int
    shared: _job_pb2.NodeSharing
    walltime_seconds: int
    tags: _containers.RepeatedCompositeFieldContainer[_job_pb2.Tag]
    meta_data: _containers.ScalarMap[str, str]
    def __init__(self, job_id: _Optional[int] = ..., user: _Optional[str] = ..., cluster: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., resources: _Optional[_Iterable[_Union[_job_pb2.Resource, _Mapping]]] = ..., site: _Optional[str] = ..., project: _Optional[str] = ..., sub_cluster: _Optional[str] = ..., partition: _Optional[str] = ..., array_job_id: _Optional[int] = ..., num_nodes: _Optional[int] = ..., num_hw_threads: _Optional[int] = ..., num_acc: _Optional[int] = ..., smt: _Optional[int] = ..., monitoring_status: _Optional[int] = ..., shared: _Optional[_Union[_job_pb2.NodeSharing, str]] = ..., walltime_seconds: _Optional[int] = ..., tags: _Optional[_Iterable[_Union[_job_pb2.Tag, _Mapping]]] = ..., meta_data: _Optional[_Mapping[str, str]] = ...) -> None: ...

class EndedJob(_message.Message):
    __slots__ = ("job", "stop_time", "state")
    JOB_FIELD_NUMBER: _ClassVar[int]
    STOP_TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    job: JobTarget
    stop_time: _timestamp_pb2.Timestamp
    state: _job_pb2.JobState
    def __init__(self, job: _Optional[_Union[JobTarget, _Mapping]] = ..., stop_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state: _Optional[_Union[_job_pb2.JobState, str]] = ...) -> None: ...

class JobEdit(_message.Message):
    __slots__ = ("job", "meta_data")
    class MetaDataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    JOB_FIELD_NUMBER: _ClassVar[int]
    META_DATA_FIELD_NUMBER: _ClassVar[int]
    job: JobTarget
    meta_data: _containers.ScalarMap[str, str]
    def __init__(self, job: _Optional[_Union[JobTarget, _Mapping]] = ..., meta_data: _Optional[_Mapping[str, str]] = ...) -> None: ...

class WriteResult(_message.Message):
    __slots__ = ("outcome", "site", "id", "key", "count", "code", "message", "retryable")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    outcome: WriteOutcome
    site: str
    id: str
    key: _job_pb2.JobKey
    count: int
    code: str
    message: str
    retryable: bool
    def __init__(self, outcome: _Optional[_Union[WriteOutcome, str]] = ..., site: _Optional[str] = ..., id: _Optional[str] = ..., key: _Optional[_Union[_job_pb2.JobKey, _Mapping]] = ..., count: _Optional[int] = ..., code: _Optional[str] = ..., message: _Optional[str] = ..., retryable: _Optional[bool] = ...) -> None: ...

class StartJobsRequest(_message.Message):
    __slots__ = ("jobs", "idempotency_key")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[NewJob]
    idempotency_key: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[NewJob, _Mapping]]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class StartJobsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[WriteResult]
    def __init__(self, results: _Optional[_Iterable[_Union[WriteResult, _Mapping]]] = ...) -> None: ...

class StopJobsRequest(_message.Message):
    __slots__ = ("jobs", "idempotency_key")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[EndedJob]
    idempotency_key: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[EndedJob, _Mapping]]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class StopJobsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[WriteResult]
    def __init__(self, results: _Optional[_Iterable[_Union[WriteResult, _Mapping]]] = ...) -> None: ...

class TagJobsRequest(_message.Message):
    __slots__ = ("jobs", "tags", "idempotency_key")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[JobTarget]
    tags: _containers.RepeatedCompositeFieldContainer[_job_pb2.Tag]
    idempotency_key: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[JobTarget, _Mapping]]] = ..., tags: _Optional[_Iterable[_Union[_job_pb2.Tag, _Mapping]]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class TagJobsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[WriteResult]
    def __init__(self, results: _Optional[_Iterable[_Union[WriteResult, _Mapping]]] = ...) -> None: ...

class UntagJobsRequest(_message.Message):
    __slots__ = ("jobs", "tags", "idempotency_key")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[JobTarget]
    tags: _containers.RepeatedCompositeFieldContainer[_job_pb2.Tag]
    idempotency_key: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[JobTarget, _Mapping]]] = ..., tags: _Optional[_Iterable[_Union[_job_pb2.Tag, _Mapping]]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class UntagJobsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[WriteResult]
    def __init__(self, results: _Optional[_Iterable[_Union[WriteResult, _Mapping]]] = ...) -> None: ...

class EditJobsRequest(_message.Message):
    __slots__ = ("jobs", "idempotency_key")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[JobEdit]
    idempotency_key: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[JobEdit, _Mapping]]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class EditJobsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[WriteResult]
    def __init__(self, results: _Optional[_Iterable[_Union[WriteResult, _Mapping]]] = ...) -> None: ...

class DeleteJobsRequest(_message.Message):
    __slots__ = ("jobs", "dry_run", "idempotency_key")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[JobTarget]
    dry_run: bool
    idempotency_key: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[JobTarget, _Mapping]]] = ..., dry_run: _Optional[bool] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class DeleteJobsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[WriteResult]
    def __init__(self, results: _Optional[_Iterable[_Union[WriteResult, _Mapping]]] = ...) -> None: ...

class DeleteJobsBeforeRequest(_message.Message):
    __slots__ = ("before", "sites", "spare", "dry_run", "idempotency_key")
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    SITES_FIELD_NUMBER: _ClassVar[int]
    SPARE_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    before: _timestamp_pb2.Timestamp
    sites: _containers.RepeatedScalarFieldContainer[str]
    spare: SparedJobs
    dry_run: bool
    idempotency_key: str
    def __init__(self, before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sites: _Optional[_Iterable[str]] = ..., spare: _Optional[_Union[SparedJobs, str]] = ..., dry_run: _Optional[bool] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class DeleteJobsBeforeResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[WriteResult]
    def __init__(self, results: _Optional[_Iterable[_Union[WriteResult, _Mapping]]] = ...) -> None: ...
