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
  name: String!  # <=1.4
  stats: MetricStatistics!  # 1.4
  id: Int!  # 1.5
  jobId: String!  # 1.5
  startTime: Int!  # 1.5
  duration: Int!  # 1.5
  cluster: String!  # 1.5
  subCluster: String!  # 1.5
  numNodes: Int!  # 1.5
  numHWThreads: Int  # 1.5
  numAccelerators: Int  # 1.5
  stats: [NamedStats!]!  # 1.5
}
"""
