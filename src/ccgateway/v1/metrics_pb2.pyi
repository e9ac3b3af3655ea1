from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MetricSelection(_message.Message):
    __slots__ = ("metrics", "scopes", "resolution_seconds")
    METRICS_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    metrics: _containers.RepeatedScalarFieldContainer[str]
    scopes: _containers.RepeatedScalarFieldContainer[str]
    resolution_seconds: int
    def __init__(self, metrics: _Optional[_Iterable[str]] = ..., scopes: _Optional[_Iterable[str]] = ..., resolution_seconds: _Optional[int] = ...) -> None: ...

class JobMetric(_message.Message):
    __slots__ = ("name", "scope", "unit", "timestep_seconds", "series", "statistics_series")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    TIMESTEP_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    STATISTICS_SERIES_FIELD_NUMBER: _ClassVar[int]
    name: str
    scope: str
    unit: Unit
    timestep_seconds: int
    series: _containers.RepeatedCompositeFieldContainer[Series]
    statistics_series: StatisticsSeries
    def __init__(self, name: _Optional[str] = ..., scope: _Optional[str] = ..., unit: _Optional[_Union[Unit, _Mapping]] = ..., timestep_seconds: _Optional[int] = ..., series: _Optional[_Iterable[_Union[Series, _Mapping]]] = ..., statistics_series: _Optional[_Union[StatisticsSeries, _Mapping]] = ...) -> None: ...

class Series(_message.Message):
    __slots__ = ("hostname", "id", "statistics", "samples")
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    STATISTICS_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    hostname: str
    id: str
    statistics: SeriesStatistics
    samples: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, hostname: _Optional[str] = ..., id: _Optional[str] = ..., statistics: _Optional[_Union[SeriesStatistics, _Mapping]] = ..., samples: _Optional[_Iterable[float]] = ...) -> None: ...

class SeriesStatistics(_message.Message):
    __slots__ = ("avg", "min", "max")
    AVG_FIELD_NUMBER: _ClassVar[int]
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    avg: float
    min: float
    max: float
    def __init__(self, avg: _Optional[float] = ..., min: _Optional[float] = ..., max: _Optional[float] = ...) -> None: ...

class StatisticsSeries(_message.Message):
    __slots__ = ("mean", "median", "min", "max")
    MEAN_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_FIELD_NUMBER: _ClassVar[int]
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    mean: _containers.RepeatedScalarFieldContainer[float]
    median: _containers.RepeatedScalarFieldContainer[float]
    min: _containers.RepeatedScalarFieldContainer[float]
    max: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, mean: _Optional[_Iterable[float]] = ..., median: _Optional[_Iterable[float]] = ..., min: _Optional[_Iterable[float]] = ..., max: _Optional[_Iterable[float]] = ...) -> None: ...

class Unit(_message.Message):
    __slots__ = ("base", "prefix")
    BASE_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    base: str
    prefix: str
    def __init__(self, base: _Optional[str] = ..., prefix: _Optional[str] = ...) -> None: ...
