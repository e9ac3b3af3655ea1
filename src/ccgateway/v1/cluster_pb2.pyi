from ccgateway.v1 import metrics_pb2 as _metrics_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Cluster(_message.Message):
    __slots__ = ("site", "name", "partitions", "metric_configs", "sub_clusters")
    SITE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    METRIC_CONFIGS_FIELD_NUMBER: _ClassVar[int]
    SUB_CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    site: str
    name: str
    partitions: _containers.RepeatedScalarFieldContainer[str]
    metric_configs: _containers.RepeatedCompositeFieldContainer[MetricConfig]
    sub_clusters: _containers.RepeatedCompositeFieldContainer[SubCluster]
    def __init__(self, site: _Optional[str] = ..., name: _Optional[str] = ..., partitions: _Optional[_Iterable[str]] = ..., metric_configs: _Optional[_Iterable[_Union[MetricConfig, _Mapping]]] = ..., sub_clusters: _Optional[_Iterable[_Union[SubCluster, _Mapping]]] = ...) -> None: ...

class SubCluster(_message.Message):
    __slots__ = ("name", "nodes", "node_count", "processor_type", "sockets_per_node", "cores_per_socket", "threads_per_core", "flop_rate_scalar", "flop_rate_simd", "memory_bandwidth", "topology", "metric_configs", "footprint")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    NODE_COUNT_FIELD_NUMBER: _ClassVar[int]
    PROCESSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    SOCKETS_PER_NODE_FIELD_NUMBER: _ClassVar[int]
    CORES_PER_SOCKET_FIELD_NUMBER: _ClassVar[int]
    THREADS_PER_CORE_FIELD_NUMBER: _ClassVar[int]
    FLOP_RATE_SCALAR_FIELD_NUMBER: _ClassVar[int]
    FLOP_RATE_SIMD_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BANDWIDTH_FIELD_NUMBER: _ClassVar[int]
    TOPOLOGY_FIELD_NUMBER: _ClassVar[int]
    METRIC_CONFIGS_FIELD_NUMBER: _ClassVar[int]
    FOOTPRINT_FIELD_NUMBER: _ClassVar[int]
    name: str
    nodes: str
    node_count: int
    processor_type: str
    sockets_per_node: int
    cores_per_socket: int
    threads_per_core: int
    flop_rate_scalar: MetricValue
    flop_rate_simd: MetricValue
    memory_bandwidth: MetricValue
    topology: Topology
    metric_configs: _containers.RepeatedCompositeFieldContainer[MetricConfig]
    footprint: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., nodes: _Optional[str] = ..., node_count: _Optional[int] = ..., processor_type: _Optional[str] = ..., sockets_per_node: _Optional[int] = ..., cores_per_socket: _Optional[int] = ..., threads_per_core: _Optional[int] = ..., flop_rate_scalar: _Optional[_Union[MetricValue, _Mapping]] = ..., flop_rate_simd: _Optional[_Union[MetricValue, _Mapping]] = ..., memory_bandwidth: _Optional[_Union[MetricValue, _Mapping]] = ..., topology: _Optional[_Union[Topology, _Mapping]] = ..., metric_configs: _Optional[_Iterable[_Union[MetricConfig, _Mapping]]] = ..., footprint: _Optional[_Iterable[str]] = ...) -> None: ...

class MetricConfig(_message.Message):
    __slots__ = ("name", "unit", "scope", "aggregation", "timestep_seconds", "peak", "normal", "caution", "alert", "lower_is_better", "sub_clusters")
    NAME_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    AGGREGATION_FIELD_NUMBER: _ClassVar[int]
    TIMESTEP_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PEAK_FIELD_NUMBER: _ClassVar[int]
    NORMAL_FIELD_NUMBER: _ClassVar[int]
    CAUTION_FIELD_NUMBER: _ClassVar[int]
    ALERT_FIELD_NUMBER: _ClassVar[int]
    LOWER_IS_BETTER_FIELD_NUMBER: _ClassVar[int]
    SUB_CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    unit: _metrics_pb2.Unit
    scope: str
    aggregation: str
    timestep_seconds: int
    peak: float
    normal: float
    caution: float
    alert: float
    lower_is_better: bool
    sub_clusters: _containers.RepeatedCompositeFieldContainer[SubClusterConfig]
    def __init__(self, name: _Optional[str] = ..., unit: _Optional[_Union[_metrics_pb2.Unit, _Mapping]] = ..., scope: _Optional[str] = ..., aggregation: _Optional[str] = ..., timestep_seconds: _Optional[int] = ..., peak: _Optional[float] = ..., normal: _Optional[float] = ..., caution: _Optional[float] = ..., alert: _Optional[float] = ..., lower_is_better: _Optional[bool] = ..., sub_clusters: _Optional[_Iterable[_Union[SubClusterConfig, _Mapping]]] = ...) -> None: ...

class SubClusterConfig(_message.Message):
    __slots__ = ("name", "peak", "normal", "caution", "alert", "remove")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PEAK_FIELD_NUMBER: _ClassVar[int]
    NORMAL_FIELD_NUMBER: _ClassVar[int]
    CAUTION_FIELD_NUMBER: _ClassVar[int]
    ALERT_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FIELD_NUMBER: _ClassVar[int]
    name: str
    peak: float
    normal: float
    caution: float
    alert: float
    remove: bool
    def __init__(self, name: _Optional[str] = ..., peak: _Optional[float] = ..., normal: _Optional[float] = ..., caution: _Optional[float] = ..., alert: _Optional[float] = ..., remove: _Optional[bool] = ...) -> None: ...

class MetricValue(_message.Message):
    __slots__ = ("name", "unit", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    unit: _metrics_pb2.Unit
    value: float
    def __init__(self, name: _Optional[str] = ..., unit: _Optional[_Union[_metrics_pb2.Unit, _Mapping]] = ..., value: _Optional[float] = ...) -> None: ...

class Topology(_message.Message):
    __slots__ = ("node", "sockets", "memory_domains", "dies", "cores", "accelerators")
    NODE_FIELD_NUMBER: _ClassVar[int]
    SOCKETS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_DOMAINS_FIELD_NUMBER: _ClassVar[int]
    DIES_FIELD_NUMBER: _ClassVar[int]
    CORES_FIELD_NUMBER: _ClassVar[int]
    ACCELERATORS_FIELD_NUMBER: _ClassVar[int]
    node: _containers.RepeatedScalarFieldContainer[int]
    sockets: _containers.RepeatedCompositeFieldContainer[HardwareThreads]
    memory_domains: _containers.RepeatedCompositeFieldContainer[HardwareThreads]
    dies: _containers.RepeatedCompositeFieldContainer[HardwareThreads]
    cores: _containers.RepeatedCompositeFieldContainer[HardwareThreads]
    accelerators: _containers.RepeatedCompositeFieldContainer[Accelerator]
    def __init__(self, node: _Optional[_Iterable[int]] = ..., sockets: _Optional[_Iterable[_Union[HardwareThreads, _Mapping]]] = ..., memory_domains: _Optional[_Iterable[_Union[HardwareThreads, _Mapping]]] = ..., dies: _Optional[_Iterable[_Union[HardwareThreads, _Mapping]]] = ..., cores: _Optional[_Iterable[_Union[HardwareThreads, _Mapping]]] = ..., accelerators: _Optional[_Iterable[_Union[Accelerator, _Mapping]]] = ...) -> None: ...

class HardwareThreads(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, ids: _Optional[_Iterable[int]] = ...) -> None: ...

class Accelerator(_message.Message):
    __slots__ = ("id", "type", "model")
    ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    id: str
    type: str
    model: str
    def __init__(self, id: _Optional[str] = ..., type: _Optional[str] = ..., model: _Optional[str] = ...) -> None: ...
