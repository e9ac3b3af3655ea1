from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StatisticsGroup(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATISTICS_GROUP_UNSPECIFIED: _ClassVar[StatisticsGroup]
    STATISTICS_GROUP_USER: _ClassVar[StatisticsGroup]
    STATISTICS_GROUP_PROJECT: _ClassVar[StatisticsGroup]
    STATISTICS_GROUP_CLUSTER: _ClassVar[StatisticsGroup]
    STATISTICS_GROUP_SUBCLUSTER: _ClassVar[StatisticsGroup]
    STATISTICS_GROUP_SITE: _ClassVar[StatisticsGroup]

class DurationBins(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DURATION_BINS_UNSPECIFIED: _ClassVar[DurationBins]
    DURATION_BINS_1_MINUTE: _ClassVar[DurationBins]
    DURATION_BINS_10_MINUTES: _ClassVar[DurationBins]
    DURATION_BINS_1_HOUR: _ClassVar[DurationBins]
    DURATION_BINS_6_HOURS: _ClassVar[DurationBins]
    DURATION_BINS_12_HOURS: _ClassVar[DurationBins]

class FigureQuality(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FIGURE_QUALITY_UNSPECIFIED: _ClassVar[FigureQuality]
    FIGURE_QUALITY_EXACT: _ClassVar[FigureQuality]
    FIGURE_QUALITY_BOUNDED: _ClassVar[FigureQuality]
    FIGURE_QUALITY_REFUSED: _ClassVar[FigureQuality]
STATISTICS_GROUP_UNSPECIFIED: StatisticsGroup
STATISTICS_GROUP_USER: StatisticsGroup
STATISTICS_GROUP_PROJECT: StatisticsGroup
STATISTICS_GROUP_CLUSTER: StatisticsGroup
STATISTICS_GROUP_SUBCLUSTER: StatisticsGroup
STATISTICS_GROUP_SITE: StatisticsGroup
DURATION_BINS_UNSPECIFIED: DurationBins
DURATION_BINS_1_MINUTE: DurationBins
DURATION_BINS_10_MINUTES: DurationBins
DURATION_BINS_1_HOUR: DurationBins
DURATION_BINS_6_HOURS: DurationBins
DURATION_BINS_12_HOURS: DurationBins
FIGURE_QUALITY_UNSPECIFIED: FigureQuality
FIGURE_QUALITY_EXACT: FigureQuality
FIGURE_QUALITY_BOUNDED: FigureQuality
FIGURE_QUALITY_REFUSED: FigureQuality

class JobStatistics(_message.Message):
    __slots__ = ("id", "name", "total_jobs", "running_jobs", "short_jobs", "total_users", "total_walltime", "total_nodes", "total_node_hours", "total_cores", "total_core_hours", "total_accs", "total_acc_hours", "hist_duration", "hist_duration_overflow", "hist_num_nodes", "hist_num_cores", "hist_num_accs", "hist_metrics", "exactness")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TOTAL_JOBS_FIELD_NUMBER: _ClassVar[int]
    RUNNING_JOBS_FIELD_NUMBER: _ClassVar[int]
    SHORT_JOBS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_USERS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_WALLTIME_FIELD_NUMBER: _ClassVar[int]
    TOTAL_NODES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_NODE_HOURS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_CORES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_CORE_HOURS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_ACCS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_ACC_HOURS_FIELD_NUMBER: _ClassVar[int]
    HIST_DURATION_FIELD_NUMBER: _ClassVar[int]
    HIST_DURATION_OVERFLOW_FIELD_NUMBER: _ClassVar[int]
    HIST_NUM_NODES_FIELD_NUMBER: _ClassVar[int]
    HIST_NUM_CORES_FIELD_NUMBER: _ClassVar[int]
    HIST_NUM_ACCS_FIELD_NUMBER: _ClassVar[int]
    HIST_METRICS_FIELD_NUMBER: _ClassVar[int]
    EXACTNESS_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    total_jobs: int
    running_jobs: int
    short_jobs: int
    total_users: int
    total_walltime: int
    total_nodes: int
    total_node_hours: int
    total_cores: int
    total_core_hours: int
    total_accs: int
    total_acc_hours: int
    hist_duration: Histogram
    hist_duration_overflow: int
    hist_num_nodes: Histogram
    hist_num_cores: Histogram
    hist_num_accs: Histogram
    hist_metrics: _containers.RepeatedCompositeFieldContainer[MetricHistogram]
    exactness: _containers.RepeatedCompositeFieldContainer[FigureExactness]
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., total_jobs: _Optional[int] = ..., running_jobs: _Optional[int] = ..., short_jobs: _Optional[int] = ..., total_users: _Optional[int] = ..., total_walltime: _Optional[int] = ..., total_nodes: _Optional[int] = ..., total_node_hours: _Optional[int] = ..., total_cores: _Optional[int] = ..., total_core_hours: _Optional[int] = ..., total_accs: _Optional[int] = ..., total_acc_hours: _Optional[int] = ..., hist_duration: _Optional[_Union[Histogram, _Mapping]] = ..., hist_duration_overflow: _Optional[int] = ..., hist_num_nodes: _Optional[_Union[Histogram, _Mapping]] = ..., hist_num_cores: _Optional[_Union[Histogram, _Mapping]] = ..., hist_num_accs: _Optional[_Union[Histogram, _Mapping]] = ..., hist_metrics: _Optional[_Iterable[_Union[MetricHistogram, _Mapping]]] = ..., exactness: _Optional[_Iterable[_Union[FigureExactness, _Mapping]]] = ...) -> None: ...

class Histogram(_message.Message):
    __slots__ = ("bins",)
    BINS_FIELD_NUMBER: _ClassVar[int]
    bins: _containers.RepeatedCompositeFieldContainer[HistogramBin]
    def __init__(self, bins: _Optional[_Iterable[_Union[HistogramBin, _Mapping]]] = ...) -> None: ...

class HistogramBin(_message.Message):
    __slots__ = ("value", "count")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    value: int
    count: int
    def __init__(self, value: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class MetricHistogram(_message.Message):
    __slots__ = ("metric", "unit", "stat", "bins")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    STAT_FIELD_NUMBER: _ClassVar[int]
    BINS_FIELD_NUMBER: _ClassVar[int]
    metric: str
    unit: str
    stat: str
    bins: _containers.RepeatedCompositeFieldContainer[MetricHistogramBin]
    def __init__(self, metric: _Optional[str] = ..., unit: _Optional[str] = ..., stat: _Optional[str] = ..., bins: _Optional[_Iterable[_Union[MetricHistogramBin, _Mapping]]] = ...) -> None: ...

class MetricHistogramBin(_message.Message):
    __slots__ = ("bin", "min", "max", "count")
    BIN_FIELD_NUMBER: _ClassVar[int]
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    bin: int
    min: int
    max: int
    count: int
    def __init__(self, bin: _Optional[int] = ..., min: _Optional[int] = ..., max: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class FigureExactness(_message.Message):
    __slots__ = ("figure", "quality", "at_least", "at_most", "reason")
    FIGURE_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    AT_MOST_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    figure: str
    quality: FigureQuality
    at_least: int
    at_most: int
    reason: str
    def __init__(self, figure: _Optional[str] = ..., quality: _Optional[_Union[FigureQuality, str]] = ..., at_least: _Optional[int] = ..., at_most: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...
