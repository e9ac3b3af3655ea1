"""The part of the schema that is about statistics, marked as :mod:`ccgateway.simulator.sdl` says."""

from __future__ import annotations

__all__ = ["STATISTICS"]

STATISTICS = """
extend type Query {
  jobsStatistics(
    filter: [JobFilter!]
    metrics: [String!]  # 1.3+
    page: PageRequest
    sortBy: SortByAggregate
    groupBy: Aggregate
    numDurationBins: String  # 1.4+
    numMetricBins: Int  # 1.4+
  ): [JobsStatistics!]!
  jobsMetricStats(filter: [JobFilter!], metrics: [String!]): [JobStats!]!  # 1.5
  jobsFootprints(filter: [JobFilter!], metrics: [String!]!): Footprints
  rooflineHeatmap(
    filter: [JobFilter!]!, rows: Int!, cols: Int!, minX: Float!, minY: Float!, maxX: Float!, maxY: Float!
  ): [[Float!]!]!
}

enum Aggregate {
  USER
  PROJECT
  CLUSTER
  SUBCLUSTER  # 1.5
}

enum SortByAggregate {
  TOTALWALLTIME
  TOTALJOBS
  TOTALUSERS  # 1.5
  TOTALNODES
  TOTALNODEHOURS
  TOTALCORES
  TOTALCOREHOURS
  TOTALACCS
  TOTALACCHOURS
}

type JobsStatistics {
  id: ID!
  name: String!
  totalUsers: Int!  # 1.5
  totalJobs: Int!
  runningJobs: Int!
  shortJobs: Int!
  totalWalltime: Int!
  totalNodes: Int!
  totalNodeHours: Int!
  totalCores: Int!
  totalCoreHours: Int!
  totalAccs: Int!
  totalAccHours: Int!
  histDuration: [HistoPoint!]!
  histNumNodes: [HistoPoint!]!
  histNumCores: [HistoPoint!]!
  histNumAccs: [HistoPoint!]!
  histMetrics: [MetricHistoPoints!]!  # 1.3+
}

type HistoPoint {
  count: Int!
  value: Int!
}

type MetricHistoPoints {
  metric: String!
  unit: String!
  stat: String  # 1.4+
  data: [MetricHistoPoint!]
}

type MetricHistoPoint {
  bin: Int
  count: Int!
  min: Int
  max: Int
}

type Footprints {
  timeWeights: TimeWeights!
  metrics: [MetricFootprints!]!
}

type TimeWeights {
  nodeHours: [NullableFloat]!
  accHours: [NullableFloat]!
  coreHours: [NullableFloat]!
}

type MetricFootprints {
  metric: String!
  data: [NullableFloat]!
}

type NamedStats {
  name: String!
  data: MetricStatistics!
}

type JobStats {
  id: Int!
  jobId: String!
  startTime: Int!
  duration: Int!
  cluster: String!
  subCluster: String!
  numNodes: Int!
  numHWThreads: Int
  numAccelerators: Int
  stats: [NamedStats!]!
}
"""
