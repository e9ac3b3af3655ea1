"""The schema against cc-backend 1.5.4's: every name of the served types is there, with a type that takes or gives the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from graphql import (
    FieldNode,
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLObjectType,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    build_schema,
    is_introspection_type,
    is_specified_scalar_type,
    parse,
    validate,
    visit,
)  # fmt: skip

from ccgateway.surfaces.graphql.schema import core_schema, sdl
from support.documents import READING, variables_for

SCHEMA = core_schema()

#: written by hand from contract/cc-backend-graphql.md, section 1 (release 1.5.4): what this gateway serves of it
OUTPUTS = """
Query.clusters: [Cluster!]!
Query.job: Job
Query.jobs: JobResultList!
Query.jobMetrics: [JobMetricWithName!]!  Query.jobStats: [NamedStats!]!  Query.scopedJobStats: [NamedStatsWithScope!]!
JobMetricWithName.name: String!  JobMetricWithName.scope: MetricScope!  JobMetricWithName.metric: JobMetric!
JobMetric.unit: Unit  JobMetric.timestep: Int!  JobMetric.series: [Series!]  JobMetric.statisticsSeries: StatsSeries
Series.hostname: String!  Series.id: String  Series.statistics: MetricStatistics
MetricStatistics.avg: Float!  MetricStatistics.min: Float!  MetricStatistics.max: Float!
NamedStats.name: String!  NamedStats.data: MetricStatistics!
NamedStatsWithScope.name: String!  NamedStatsWithScope.scope: MetricScope!  NamedStatsWithScope.stats: [ScopedStats!]!
ScopedStats.hostname: String!  ScopedStats.id: String  ScopedStats.data: MetricStatistics!
Job.id: ID!  Job.jobId: Int!  Job.user: String!  Job.project: String!  Job.cluster: String!  Job.subCluster: String!
Job.startTime: Time!  Job.duration: Int!  Job.walltime: Int!  Job.numNodes: Int!  Job.numHWThreads: Int!  Job.numAcc: Int!
Job.energy: Float!  Job.SMT: Int!  Job.shared: String!  Job.partition: String!  Job.arrayJobId: Int!  Job.monitoringStatus: Int!
Job.state: JobState!  Job.tags: [Tag!]!  Job.resources: [Resource!]!  Job.concurrentJobs: JobLinkResultList
Job.footprint: [FootprintValue]  Job.energyFootprint: [EnergyFootprintValue]  Job.metaData: Any  Job.userData: User
JobLink.id: ID!  JobLink.jobId: Int!
JobLinkResultList.listQuery: String  JobLinkResultList.items: [JobLink!]!  JobLinkResultList.count: Int
JobResultList.items: [Job!]!  JobResultList.offset: Int  JobResultList.limit: Int  JobResultList.count: Int
JobResultList.hasNextPage: Boolean
Resource.hostname: String!  Resource.hwthreads: [Int!]  Resource.accelerators: [String!]  Resource.configuration: String
Tag.id: ID!  Tag.type: String!  Tag.name: String!  Tag.scope: String!
FootprintValue.name: String!  FootprintValue.stat: String!  FootprintValue.value: Float!
EnergyFootprintValue.hardware: String!  EnergyFootprintValue.metric: String!  EnergyFootprintValue.value: Float!
User.username: String!  User.name: String!  User.email: String!
Cluster.name: String!  Cluster.partitions: [String!]!  Cluster.subClusters: [SubCluster!]!  Cluster.metricConfig: [MetricConfig!]!
SubCluster.name: String!  SubCluster.nodes: String!  SubCluster.processorType: String!  SubCluster.numberOfNodes: Int!
SubCluster.socketsPerNode: Int!  SubCluster.coresPerSocket: Int!  SubCluster.threadsPerCore: Int!
SubCluster.flopRateScalar: MetricValue!  SubCluster.flopRateSimd: MetricValue!  SubCluster.memoryBandwidth: MetricValue!
SubCluster.topology: Topology!  SubCluster.metricConfig: [MetricConfig!]!  SubCluster.footprint: [String!]!
MetricValue.name: String  MetricValue.unit: Unit!  MetricValue.value: Float!
Topology.node: [Int!]  Topology.socket: [[Int!]!]  Topology.memoryDomain: [[Int!]!]  Topology.die: [[Int!]]
Topology.core: [[Int!]!]  Topology.accelerators: [Accelerator!]
Accelerator.id: String!  Accelerator.type: String!  Accelerator.model: String!
MetricConfig.name: String!  MetricConfig.unit: Unit!  MetricConfig.scope: MetricScope!  MetricConfig.aggregation: String!
MetricConfig.timestep: Int!  MetricConfig.peak: Float!  MetricConfig.caution: Float!  MetricConfig.alert: Float!
MetricConfig.normal: Float  MetricConfig.lowerIsBetter: Boolean  MetricConfig.subClusters: [SubClusterConfig!]!
SubClusterConfig.name: String!  SubClusterConfig.peak: Float  SubClusterConfig.normal: Float  SubClusterConfig.caution: Float
SubClusterConfig.alert: Float  SubClusterConfig.remove: Boolean
Unit.base: String!  Unit.prefix: String
Query.tags: [Tag!]!  Query.globalMetrics: [GlobalMetricListItem!]!  Query.user: User  Query.allocatedNodes: [Count!]!
Query.node: Node  Query.nodes: NodeStateResultList!  Query.nodesWithMeta: NodeStateResultList!
Query.nodeStates: [NodeStates!]!  Query.nodeStatesTimed: [NodeStatesTimed!]!  Query.nodeMetrics: [NodeMetrics!]!
Query.nodeMetricsList: NodesResultList!  Query.clusterMetrics: ClusterMetrics!
GlobalMetricListItem.name: String!  GlobalMetricListItem.unit: Unit!  GlobalMetricListItem.scope: MetricScope!
GlobalMetricListItem.footprint: String  GlobalMetricListItem.availability: [ClusterSupport!]!
ClusterSupport.cluster: String!  ClusterSupport.subClusters: [String!]!
User.username: String!  User.name: String!  User.email: String!  Count.name: String!  Count.count: Int!
Node.id: ID!  Node.hostname: String!  Node.cluster: String!  Node.subCluster: String!  Node.jobsRunning: Int!
Node.cpusAllocated: Int  Node.memoryAllocated: Int  Node.gpusAllocated: Int  Node.schedulerState: SchedulerState!
Node.healthState: MonitoringState!  Node.metaData: Any  Node.healthData: Any
NodeStates.state: String!  NodeStates.count: Int!
NodeStatesTimed.state: String!  NodeStatesTimed.counts: [Int!]!  NodeStatesTimed.times: [Int!]!
NodeStateResultList.items: [Node!]!  NodeStateResultList.count: Int
NodeMetrics.host: String!  NodeMetrics.nodeState: String!  NodeMetrics.metricHealth: String!  NodeMetrics.subCluster: String!
NodeMetrics.metrics: [JobMetricWithName!]!
NodesResultList.items: [NodeMetrics!]!  NodesResultList.offset: Int  NodesResultList.limit: Int  NodesResultList.count: Int
NodesResultList.totalNodes: Int  NodesResultList.hasNextPage: Boolean
ClusterMetrics.nodeCount: Int!  ClusterMetrics.metrics: [ClusterMetricWithName!]!
ClusterMetricWithName.name: String!  ClusterMetricWithName.unit: Unit  ClusterMetricWithName.timestep: Int!
JobLink.id: ID!  JobLink.jobId: Int!  JobLinkResultList.listQuery: String  JobLinkResultList.items: [JobLink!]!
JobLinkResultList.count: Int  EnergyFootprintValue.hardware: String!  EnergyFootprintValue.metric: String!
EnergyFootprintValue.value: Float!
Mutation.createTag: Tag!  Mutation.deleteTag: ID!  Mutation.addTagsToJob: [Tag!]!  Mutation.removeTagsFromJob: [Tag!]!
Mutation.updateConfiguration: String
"""

INPUTS = """
JobFilter.tags: [ID!]  JobFilter.dbId: [ID!]  JobFilter.jobId: StringInput  JobFilter.arrayJobId: Int  JobFilter.user: StringInput
JobFilter.project: StringInput  JobFilter.jobName: StringInput  JobFilter.cluster: StringInput  JobFilter.subCluster: StringInput
JobFilter.partition: StringInput  JobFilter.duration: IntRange  JobFilter.energy: FloatRange  JobFilter.numNodes: IntRange
JobFilter.numAccelerators: IntRange  JobFilter.numHWThreads: IntRange  JobFilter.startTime: TimeRange
JobFilter.state: [JobState!]  JobFilter.metricStats: [MetricStatItem!]  JobFilter.shared: String  JobFilter.schedule: String
JobFilter.node: StringInput
OrderByInput.field: String!  OrderByInput.type: String!  OrderByInput.order: SortDirectionEnum!
StringInput.eq: String  StringInput.neq: String  StringInput.contains: String  StringInput.startsWith: String
StringInput.endsWith: String  StringInput.in: [String!]
IntRange.from: Int!  IntRange.to: Int!  FloatRange.from: Float!  FloatRange.to: Float!
TimeRange.range: String  TimeRange.from: Time  TimeRange.to: Time
MetricStatItem.metricName: String!  MetricStatItem.range: FloatRange!
PageRequest.itemsPerPage: Int!  PageRequest.page: Int!
Query.jobMetrics.id: ID!  Query.jobMetrics.metrics: [String!]  Query.jobMetrics.scopes: [MetricScope!]
Query.jobMetrics.resolution: Int  Query.jobStats.id: ID!  Query.jobStats.metrics: [String!]  Query.scopedJobStats.id: ID!
Query.scopedJobStats.metrics: [String!]  Query.scopedJobStats.scopes: [MetricScope!]
Query.jobs.filter: [JobFilter!]  Query.jobs.page: PageRequest  Query.jobs.order: OrderByInput  Query.job.id: ID!
NodeFilter.hostname: StringInput  NodeFilter.cluster: StringInput  NodeFilter.subCluster: StringInput
NodeFilter.schedulerState: SchedulerState  NodeFilter.healthState: MonitoringState  NodeFilter.timeStart: Int
Query.user.username: String!  Query.allocatedNodes.cluster: String!  Query.node.id: ID!
Query.nodes.filter: [NodeFilter!]  Query.nodes.order: OrderByInput  Query.nodesWithMeta.filter: [NodeFilter!]
Query.nodesWithMeta.order: OrderByInput  Query.nodeStates.filter: [NodeFilter!]
Query.nodeStatesTimed.filter: [NodeFilter!]  Query.nodeStatesTimed.type: String!
Query.nodeMetrics.cluster: String!  Query.nodeMetrics.nodes: [String!]  Query.nodeMetrics.scopes: [MetricScope!]
Query.nodeMetrics.metrics: [String!]  Query.nodeMetrics.from: Time!  Query.nodeMetrics.to: Time!
Query.nodeMetricsList.cluster: String!  Query.nodeMetricsList.subCluster: String!  Query.nodeMetricsList.stateFilter: String!
Query.nodeMetricsList.nodeFilter: String!  Query.nodeMetricsList.scopes: [MetricScope!]
Query.nodeMetricsList.metrics: [String!]  Query.nodeMetricsList.from: Time!  Query.nodeMetricsList.to: Time!
Query.nodeMetricsList.page: PageRequest  Query.nodeMetricsList.resolution: Int
Query.clusterMetrics.cluster: String!  Query.clusterMetrics.metrics: [String!]  Query.clusterMetrics.from: Time!
Query.clusterMetrics.to: Time!  Mutation.createTag.type: String!  Mutation.createTag.name: String!
Mutation.createTag.scope: String!  Mutation.deleteTag.id: ID!  Mutation.addTagsToJob.job: ID!
Mutation.addTagsToJob.tagIds: [ID!]!  Mutation.removeTagsFromJob.job: ID!  Mutation.removeTagsFromJob.tagIds: [ID!]!
Mutation.removeTagFromList.tagIds: [ID!]!  Mutation.updateConfiguration.name: String!
Mutation.updateConfiguration.value: String!
"""


def table(text: str) -> list[tuple[str, str]]:
    pairs = [one.split(": ") for line in text.splitlines() for one in line.split("  ") if one.strip()]
    return [(name.strip(), kind.strip()) for name, kind in pairs]


def member(path: str) -> GraphQLField | GraphQLInputField | GraphQLArgument:
    type_name, name, *argument = path.split(".")
    found = SCHEMA.type_map[type_name]
    assert isinstance(found, (GraphQLObjectType, GraphQLInputObjectType))
    field = found.fields[name]
    return field.args[argument[0]] if argument and isinstance(field, GraphQLField) else field


@pytest.mark.parametrize(("path", "kind"), table(OUTPUTS))
def test_a_field_gives_what_upstream_gives(path: str, kind: str) -> None:
    # integers that may exceed 32 bits have a scalar of their own: the same JSON number
    assert str(member(path).type).replace("Int64", "Int") == kind


@pytest.mark.parametrize(("path", "kind"), table(INPUTS))
def test_an_input_accepts_what_upstream_accepts(path: str, kind: str) -> None:
    # nullable where upstream is not is fine for input: more is accepted
    ours = str(member(path).type)
    assert ours in (kind, kind.removesuffix("!"))


def test_enum_values_are_upstreams() -> None:
    direction = SCHEMA.type_map["SortDirectionEnum"]
    assert isinstance(direction, GraphQLEnumType)
    assert set(direction.values) == {"DESC", "ASC"}


def described() -> Iterator[tuple[str, str | None]]:
    for name, one in SCHEMA.type_map.items():
        if is_introspection_type(one) or is_specified_scalar_type(one):
            continue
        yield name, one.description
        yield from _described_members(name, one)


def _described_members(name: str, one: GraphQLNamedType) -> Iterator[tuple[str, str | None]]:
    if isinstance(one, GraphQLEnumType):
        yield from ((f"{name}.{value}", found.description) for value, found in one.values.items())
    if isinstance(one, (GraphQLObjectType, GraphQLInputObjectType)):
        for field_name, field in one.fields.items():
            yield f"{name}.{field_name}", field.description
            if isinstance(field, GraphQLField):
                yield from ((f"{name}.{field_name}({arg})", found.description) for arg, found in field.args.items())


def test_everything_has_a_description() -> None:
    found = dict(described())
    assert len(found) > 150
    assert [name for name, description in found.items() if not (description or "").strip().endswith(".")] == []


def test_the_text_is_the_whole_schema_and_the_same_every_time() -> None:
    again = build_schema(sdl())
    assert sdl() == sdl()
    assert sdl().endswith("}\n")
    assert set(SCHEMA.type_map) <= set(again.type_map)


@pytest.mark.parametrize(
    "document",
    [
        # as cc-backend's own web pages and the how-to write them
        """query($filter: [JobFilter!]!, $sorting: OrderByInput!, $paging: PageRequest!) {
             jobs(filter: $filter, order: $sorting, page: $paging) {
               items { id, jobId, user, project, cluster, subCluster, startTime, duration, numNodes, numHWThreads, numAcc,
                 walltime,                  resources { hostname }, SMT, shared, partition, arrayJobId, monitoringStatus, state,
                 tags { id, type, name, scope }, userData { name }, metaData, footprint { name stat value } }
               count hasNextPage } }""",
        """query($id: ID!, $metrics: [String!]!, $scopes: [MetricScope!]!, $selectedResolution: Int) {
             singleUpdate: jobMetrics(id: $id, metrics: $metrics, scopes: $scopes, resolution: $selectedResolution) {
               name scope metric { unit { prefix base } timestep statisticsSeries { min mean median max }
                 series { hostname id data statistics { min avg max } } } } }""",
        """query($dbid: ID!, $selectedMetrics: [String!]!, $selectedScopes: [MetricScope!]!) {
             scopedJobStats(id: $dbid, metrics: $selectedMetrics, scopes: $selectedScopes) {
               name scope stats { hostname id data { min avg max } } } jobStats(id: $dbid, metrics: $selectedMetrics) {
               name data { min avg max } } }""",
        'query($id: ID!) { job(id: $id) { id jobId state concurrentJobs { items { id jobId } count listQuery } } }',
        '{ jobs(filter: {state: "running", user: {contains: "a"}}, order: {field: "id", type: "col", order: DESC}) { count }}',
        '{ jobs(filter: [{state: [running, completed], numNodes: {from: 1, to: 4}}]) { items { id } } }',
        """{ clusters { name partitions subClusters { name nodes numberOfNodes processorType footprint
               metricConfig { name unit { base prefix } scope aggregation timestep peak normal caution alert lowerIsBetter }
               topology { node socket memoryDomain die core accelerators { id type model } } } } }""",
    ],
)  # fmt: skip
def test_documents_written_for_one_instance_are_valid(document: str) -> None:
    assert validate(SCHEMA, parse(document)) == []


@pytest.mark.parametrize("field", READING)
def test_a_document_of_every_field_of_one_instance_is_valid(field: str) -> None:
    assert validate(SCHEMA, parse(READING[field])) == []


class Used(Visitor):
    """Notes every field, and every argument of a root field, of a document."""

    def __init__(self, info: TypeInfo, used: set[str]) -> None:
        super().__init__()
        self.info, self.used = info, used

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        parent = self.info.get_parent_type()
        self.used.add(f"{parent.name if parent else ''}.{node.name.value}")
        if parent is not None and parent.name == "Query":
            self.used.update(f"Query.{node.name.value}.{one.name.value}" for one in node.arguments or ())


def test_such_documents_use_all_that_upstream_has() -> None:
    used: set[str] = set()
    for document in READING.values():
        info = TypeInfo(SCHEMA)
        visit(parse(document), TypeInfoVisitor(info, Used(info, used)))
    written = variables_for("jobs", cluster="c", job="1", node="1", day="2025-01-01")["jf"][0]
    used |= {f"JobFilter.{name}" for name in written}
    wanted = {path for path, _ in (*table(OUTPUTS), *table(INPUTS))}
    inputs = ("StringInput", "IntRange", "FloatRange", "TimeRange", "MetricStatItem", "PageRequest", "OrderByInput", "NodeFilter")
    missing = {path for path in wanted - used if path.split(".")[0] not in (*inputs, "Mutation")}
    missing -= {"Cluster.metricConfig", "MetricValue.name"}  # up to 1.3 only; and what 1.5.4 itself fails on
    assert missing == set()
