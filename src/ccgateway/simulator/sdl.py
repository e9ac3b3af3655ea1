"""The part of each release's GraphQL schema that the simulator knows, as SDL.

Lines marked with a release bound (``# 1.4+``, ``# <=1.3``, ``# 1.5``) belong to those releases only.
"""

from __future__ import annotations

import re

from ccgateway.simulator.release import Release

__all__ = ["sdl"]

_ORDER = ("1.2", "1.3", "1.4", "1.5")

_TEXT = """
scalar Time
scalar Any
scalar NullableFloat
scalar MetricScope
scalar JobState

enum SortDirectionEnum { DESC ASC }

type Query {
  clusters: [Cluster!]!
  tags: [Tag!]!
  job(id: ID!): Job
  jobMetrics(id: ID!, metrics: [String!], scopes: [MetricScope!]): [JobMetricWithName!]!  # <=1.3
  jobMetrics(id: ID!, metrics: [String!], scopes: [MetricScope!], resolution: Int): [JobMetricWithName!]!  # 1.4+
  jobs(filter: [JobFilter!], page: PageRequest, order: OrderByInput): JobResultList!
  allocatedNodes(cluster: String!): [Count!]!
}

type Mutation {
  createTag(type: String!, name: String!): Tag!  # <=1.3
  createTag(type: String!, name: String!, scope: String!): Tag!  # 1.4+
  deleteTag(id: ID!): ID!
  addTagsToJob(job: ID!, tagIds: [ID!]!): [Tag!]!
  removeTagsFromJob(job: ID!, tagIds: [ID!]!): [Tag!]!
  removeTagFromList(tagIds: [ID!]!): [Int!]!  # 1.4+
  updateConfiguration(name: String!, value: String!): String
}

type Cluster {
  name: String!
  partitions: [String!]!
  metricConfig: [MetricConfig!]!  # <=1.3
  subClusters: [SubCluster!]!
}

type SubCluster {
  name: String!
  nodes: String!
  numberOfNodes: Int!
  processorType: String!
  socketsPerNode: Int!
  coresPerSocket: Int!
  threadsPerCore: Int!
  flopRateScalar: MetricValue!
  flopRateSimd: MetricValue!
  memoryBandwidth: MetricValue!
  topology: Topology!
  metricConfig: [MetricConfig!]!  # 1.4+
  footprint: [String!]!  # 1.4+
}

type MetricValue {
  name: String  # 1.4+
  unit: Unit!
  value: Float!
}

type Unit {
  base: String!
  prefix: String
}

type Topology {
  node: [Int!]
  socket: [[Int!]!]
  memoryDomain: [[Int!]!]
  die: [[Int!]!]
  core: [[Int!]!]
  accelerators: [Accelerator!]
}

type Accelerator {
  id: String!
  type: String!
  model: String!
}

type MetricConfig {
  name: String!
  unit: Unit!
  scope: MetricScope!
  aggregation: String!
  timestep: Int!
  peak: Float!
  normal: Float
  caution: Float!
  alert: Float!
  lowerIsBetter: Boolean  # 1.4+
  subClusters: [SubClusterConfig!]!
}

type SubClusterConfig {
  name: String!
  peak: Float
  normal: Float
  caution: Float
  alert: Float
  remove: Boolean
}

type Job {
  id: ID!
  jobId: Int!
  user: String!
  project: String!
  cluster: String!
  subCluster: String!
  startTime: Time!
  duration: Int!
  walltime: Int!
  numNodes: Int!
  numHWThreads: Int!
  numAcc: Int!
  energy: Float!  # 1.4+
  SMT: Int!
  shared: String!  # 1.5
  exclusive: Int!  # <=1.4
  partition: String!
  arrayJobId: Int!
  monitoringStatus: Int!
  state: JobState!
  tags: [Tag!]!
  resources: [Resource!]!
  footprint: [FootprintValue]  # 1.4+
  metaData: Any
  userData: User
}

type FootprintValue {
  name: String!
  stat: String!
  value: Float!
}

type Resource {
  hostname: String!
  hwthreads: [Int!]
  accelerators: [String!]
  configuration: String
}

type Tag {
  id: ID!
  type: String!
  name: String!
  scope: String!  # 1.4+
}

type User {
  username: String!
  name: String!
  email: String!
}

type Count {
  name: String!
  count: Int!
}

type JobResultList {
  items: [Job!]!
  offset: Int
  limit: Int
  count: Int
  hasNextPage: Boolean  # 1.3+
}

type JobMetricWithName {
  name: String!
  scope: MetricScope!
  metric: JobMetric!
}

type JobMetric {
  unit: Unit
  timestep: Int!
  series: [Series!]
}

type Series {
  hostname: String!
  id: String
  statistics: MetricStatistics
  data: [NullableFloat!]!
}

type MetricStatistics {
  avg: Float!
  min: Float!
  max: Float!
}

input JobFilter {
  tags: [ID!]
  dbId: [ID!]  # 1.5
  jobId: StringInput
  arrayJobId: Int
  user: StringInput
  project: StringInput
  jobName: StringInput
  cluster: StringInput
  subCluster: StringInput  # 1.5
  partition: StringInput
  duration: IntRange
  energy: FloatRange  # 1.4+
  metricStats: [MetricStatItem!]  # 1.4+
  minRunningFor: Int  # <=1.4
  flopsAnyAvg: FloatRange  # <=1.3
  memBwAvg: FloatRange  # <=1.3
  loadAvg: FloatRange  # <=1.3
  memUsedMax: FloatRange  # <=1.3
  numNodes: IntRange
  numAccelerators: IntRange
  numHWThreads: IntRange
  startTime: TimeRange
  state: [JobState!]
  exclusive: Int  # <=1.4
  shared: String  # 1.5
  schedule: String  # 1.5
  node: StringInput
}

input StringInput {
  eq: String
  neq: String
  contains: String
  startsWith: String
  endsWith: String
  in: [String!]
}

input IntRange {
  from: Int!
  to: Int!
}

input FloatRange {
  from: Float!
  to: Float!
}

input MetricStatItem {
  metricName: String!
  range: FloatRange!
}

input TimeRange {
  range: String  # 1.4+
  from: Time
  to: Time
}

input OrderByInput {
  field: String!
  type: String!  # 1.4+
  order: SortDirectionEnum! = ASC
}

input PageRequest {
  itemsPerPage: Int!
  page: Int!
}
"""


def sdl(release: Release) -> str:
    """The schema of *release*; the how-to page says nothing about GraphQL, so it gets 1.5's."""
    name = "1.5" if release.howto else release.name
    return "\n".join(line for line in _TEXT.splitlines() if _belongs(line, name))


def _belongs(line: str, name: str) -> bool:
    found = re.search(r"# (<=)?(\d\.\d)(\+)?$", line)
    if found is None:
        return True
    up_to, bound, on = found.groups()
    mine, its = _ORDER.index(name), _ORDER.index(bound)
    if up_to:
        return mine <= its
    return mine >= its if on else mine == its
