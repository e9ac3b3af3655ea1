import datetime

from ccgateway.v1 import filter_pb2 as _filter_pb2
from ccgateway.v1 import job_pb2 as _job_pb2
from ccgateway.v1 import metrics_pb2 as _metrics_pb2
from ccgateway.v1 import report_pb2 as _report_pb2
from ccgateway.v1 import statistics_pb2 as _statistics_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListJobsRequest(_message.Message):
    __slots__ = ("filters", "order", "page_size", "page_token", "sites", "policy", "read_mask", "limit")
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SITES_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    READ_MASK_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    filters: _containers.RepeatedCompositeFieldContainer[_filter_pb2.JobFilter]
    order: _filter_pb2.JobOrder
    page_size: int
    page_token: str
    sites: _containers.RepeatedScalarFieldContainer[str]
    policy: _report_pb2.Policy
    read_mask: _field_mask_pb2.FieldMask
    limit: int
    def __init__(self, filters: _Optional[_Iterable[_Union[_filter_pb2.JobFilter, _Mapping]]] = ..., order: _Optional[_Union[_filter_pb2.JobOrder, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., sites: _Optional[_Iterable[str]] = ..., policy: _Optional[_Union[_report_pb2.Policy, str]] = ..., read_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., limit: _Optional[int] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs", "resume_token", "unreachable", "complete", "site_reports", "has_more")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    UNREACHABLE_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    SITE_REPORTS_FIELD_NUMBER: _ClassVar[int]
    HAS_MORE_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[_job_pb2.Job]
    resume_token: str
    unreachable: _containers.RepeatedScalarFieldContainer[str]
    complete: bool
    site_reports: _containers.RepeatedCompositeFieldContainer[_report_pb2.SiteReport]
    has_more: bool
    def __init__(self, jobs: _Optional[_Iterable[_Union[_job_pb2.Job, _Mapping]]] = ..., resume_token: _Optional[str] = ..., unreachable: _Optional[_Iterable[str]] = ..., complete: _Optional[bool] = ..., site_reports: _Optional[_Iterable[_Union[_report_pb2.SiteReport, _Mapping]]] = ..., has_more: _Optional[bool] = ...) -> None: ...

class ExportJobsRequest(_message.Message):
    __slots__ = ("filters", "page_size", "page_token", "sites", "policy", "read_mask", "running", "shard", "shards")
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SITES_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    READ_MASK_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    filters: _containers.RepeatedCompositeFieldContainer[_filter_pb2.JobFilter]
    page_size: int
    page_token: str
    sites: _containers.RepeatedScalarFieldContainer[str]
    policy: _report_pb2.Policy
    read_mask: _field_mask_pb2.FieldMask
    running: bool
    shard: int
    shards: int
    def __init__(self, filters: _Optional[_Iterable[_Union[_filter_pb2.JobFilter, _Mapping]]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., sites: _Optional[_Iterable[str]] = ..., policy: _Optional[_Union[_report_pb2.Policy, str]] = ..., read_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., running: _Optional[bool] = ..., shard: _Optional[int] = ..., shards: _Optional[int] = ...) -> None: ...

class ExportJobsResponse(_message.Message):
    __slots__ = ("jobs", "resume_token", "unreachable", "as_of", "rows", "complete", "site_reports")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    UNREACHABLE_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    SITE_REPORTS_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[_job_pb2.Job]
    resume_token: str
    unreachable: _containers.RepeatedScalarFieldContainer[str]
    as_of: _timestamp_pb2.Timestamp
    rows: int
    complete: bool
    site_reports: _containers.RepeatedCompositeFieldContainer[_report_pb2.SiteReport]
    def __init__(self, jobs: _Optional[_Iterable[_Union[_job_pb2.Job, _Mapping]]] = ..., resume_token: _Optional[str] = ..., unreachable: _Optional[_Iterable[str]] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., rows: _Optional[int] = ..., complete: _Optional[bool] = ..., site_reports: _Optional[_Iterable[_Union[_report_pb2.SiteReport, _Mapping]]] = ...) -> None: ...

class CountJobsRequest(_message.Message):
    __slots__ = ("filters", "sites", "policy")
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    SITES_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    filters: _containers.RepeatedCompositeFieldContainer[_filter_pb2.JobFilter]
    sites: _containers.RepeatedScalarFieldContainer[str]
    policy: _report_pb2.Policy
    def __init__(self, filters: _Optional[_Iterable[_Union[_filter_pb2.JobFilter, _Mapping]]] = ..., sites: _Optional[_Iterable[str]] = ..., policy: _Optional[_Union[_report_pb2.Policy, str]] = ...) -> None: ...

class CountJobsResponse(_message.Message):
    __slots__ = ("count", "complete", "unreachable", "site_reports")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    UNREACHABLE_FIELD_NUMBER: _ClassVar[int]
    SITE_REPORTS_FIELD_NUMBER: _ClassVar[int]
    count: int
    complete: bool
    unreachable: _containers.RepeatedScalarFieldContainer[str]
    site_reports: _containers.RepeatedCompositeFieldContainer[_report_pb2.SiteReport]
    def __init__(self, count: _Optional[int] = ..., complete: _Optional[bool] = ..., unreachable: _Optional[_Iterable[str]] = ..., site_reports: _Optional[_Iterable[_Union[_report_pb2.SiteReport, _Mapping]]] = ...) -> None: ...

class GetStatisticsRequest(_message.Message):
    __slots__ = ("filters", "group_by", "sort_by", "page_size", "page_token", "read_mask", "metrics", "duration_bins", "metric_bins", "exact", "sites", "policy")
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    SORT_BY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    READ_MASK_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    DURATION_BINS_FIELD_NUMBER: _ClassVar[int]
    METRIC_BINS_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    SITES_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    filters: _containers.RepeatedCompositeFieldContainer[_filter_pb2.JobFilter]
    group_by: _statistics_pb2.StatisticsGroup
    sort_by: str
    page_size: int
    page_token: str
    read_mask: _field_mask_pb2.FieldMask
    metrics: _containers.RepeatedScalarFieldContainer[str]
    duration_bins: _statistics_pb2.DurationBins
    metric_bins: int
    exact: bool
    sites: _containers.RepeatedScalarFieldContainer[str]
    policy: _report_pb2.Policy
    def __init__(self, filters: _Optional[_Iterable[_Union[_filter_pb2.JobFilter, _Mapping]]] = ..., group_by: _Optional[_Union[_statistics_pb2.StatisticsGroup, str]] = ..., sort_by: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., read_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., metrics: _Optional[_Iterable[str]] = ..., duration_bins: _Optional[_Union[_statistics_pb2.DurationBins, str]] = ..., metric_bins: _Optional[int] = ..., exact: _Optional[bool] = ..., sites: _Optional[_Iterable[str]] = ..., policy: _Optional[_Union[_report_pb2.Policy, str]] = ...) -> None: ...

class GetStatisticsResponse(_message.Message):
    __slots__ = ("statistics", "next_page_token", "complete", "unreachable", "site_reports")
    STATISTICS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    UNREACHABLE_FIELD_NUMBER: _ClassVar[int]
    SITE_REPORTS_FIELD_NUMBER: _ClassVar[int]
    statistics: _containers.RepeatedCompositeFieldContainer[_statistics_pb2.JobStatistics]
    next_page_token: str
    complete: bool
    unreachable: _containers.RepeatedScalarFieldContainer[str]
    site_reports: _containers.RepeatedCompositeFieldContainer[_report_pb2.SiteReport]
    def __init__(self, statistics: _Optional[_Iterable[_Union[_statistics_pb2.JobStatistics, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., complete: _Optional[bool] = ..., unreachable: _Optional[_Iterable[str]] = ..., site_reports: _Optional[_Iterable[_Union[_report_pb2.SiteReport, _Mapping]]] = ...) -> None: ...

class GetJobRequest(_message.Message):
    __slots__ = ("id", "read_mask")
    ID_FIELD_NUMBER: _ClassVar[int]
    READ_MASK_FIELD_NUMBER: _ClassVar[int]
    id: str
    read_mask: _field_mask_pb2.FieldMask
    def __init__(self, id: _Optional[str] = ..., read_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class GetJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _job_pb2.Job
    def __init__(self, job: _Optional[_Union[_job_pb2.Job, _Mapping]] = ...) -> None: ...

class GetJobByKeyRequest(_message.Message):
    __slots__ = ("cluster", "job_id", "start_time", "site", "read_mask")
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    READ_MASK_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    job_id: int
    start_time: _timestamp_pb2.Timestamp
    site: str
    read_mask: _field_mask_pb2.FieldMask
    def __init__(self, cluster: _Optional[str] = ..., job_id: _Optional[int] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., site: _Optional[str] = ..., read_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class GetJobByKeyResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _job_pb2.Job
    def __init__(self, job: _Optional[_Union[_job_pb2.Job, _Mapping]] = ...) -> None: ...

class GetJobMetricsRequest(_message.Message):
    __slots__ = ("id", "selection")
    ID_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    id: str
    selection: _metrics_pb2.MetricSelection
    def __init__(self, id: _Optional[str] = ..., selection: _Optional[_Union[_metrics_pb2.MetricSelection, _Mapping]] = ...) -> None: ...

class GetJobMetricsResponse(_message.Message):
    __slots__ = ("metrics", "site_report")
    METRICS_FIELD_NUMBER: _ClassVar[int]
    SITE_REPORT_FIELD_NUMBER: _ClassVar[int]
    metrics: _containers.RepeatedCompositeFieldContainer[_metrics_pb2.JobMetric]
    site_report: _report_pb2.SiteReport
    def __init__(self, metrics: _Optional[_Iterable[_Union[_metrics_pb2.JobMetric, _Mapping]]] = ..., site_report: _Optional[_Union[_report_pb2.SiteReport, _Mapping]] = ...) -> None: ...

class StreamJobMetricsRequest(_message.Message):
    __slots__ = ("ids", "selection")
    IDS_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    selection: _metrics_pb2.MetricSelection
    def __init__(self, ids: _Optional[_Iterable[str]] = ..., selection: _Optional[_Union[_metrics_pb2.MetricSelection, _Mapping]] = ...) -> None: ...

class StreamJobMetricsResponse(_message.Message):
    __slots__ = ("id", "metrics", "job_done", "error", "site_report")
    ID_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    JOB_DONE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SITE_REPORT_FIELD_NUMBER: _ClassVar[int]
    id: str
    metrics: _containers.RepeatedCompositeFieldContainer[_metrics_pb2.JobMetric]
    job_done: bool
    error: _report_pb2.Error
    site_report: _report_pb2.SiteReport
    def __init__(self, id: _Optional[str] = ..., metrics: _Optional[_Iterable[_Union[_metrics_pb2.JobMetric, _Mapping]]] = ..., job_done: _Optional[bool] = ..., error: _Optional[_Union[_report_pb2.Error, _Mapping]] = ..., site_report: _Optional[_Union[_report_pb2.SiteReport, _Mapping]] = ...) -> None: ...
