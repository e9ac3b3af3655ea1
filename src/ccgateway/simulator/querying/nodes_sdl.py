"""What of the schema is about nodes."""

from __future__ import annotations

__all__ = ["NODES"]

NODES = """
extend type Query {
  node(id: ID!): Node  # 1.5
  nodes(filter: [NodeFilter!], order: OrderByInput): NodeStateResultList!  # 1.5
  nodesWithMeta(filter: [NodeFilter!], order: OrderByInput): NodeStateResultList!  # 1.5
  nodeStates(filter: [NodeFilter!]): [NodeStates!]!  # 1.5
  nodeStatesTimed(filter: [NodeFilter!], type: String!): [NodeStatesTimed!]!  # 1.5
  nodeMetrics(cluster: String!, nodes: [String!], scopes: [MetricScope!], metrics: [String!], from: Time!, to: Time!): [NodeMetrics!]!
  nodeMetricsList(cluster: String!, subCluster: String!, nodeFilter: String!, scopes: [MetricScope!], metrics: [String!], from: Time!, to: Time!, page: PageRequest, resolution: Int): NodesResultList!  # 1.4
  nodeMetricsList(cluster: String!, subCluster: String!, stateFilter: String!, nodeFilter: String!, scopes: [MetricScope!], metrics: [String!], from: Time!, to: Time!, page: PageRequest, resolution: Int): NodesResultList!  # 1.5
  clusterMetrics(cluster: String!, metrics: [String!], from: Time!, to: Time!): ClusterMetrics!  # 1.5
}

type Node {
  id: ID!
  hostname: String!
  cluster: String!
  subCluster: String!
  jobsRunning: Int!
  cpusAllocated: Int
  memoryAllocated: Int
  gpusAllocated: Int
  schedulerState: SchedulerState!  # 1.5
  healthState: MonitoringState!  # 1.5
  metaData: Any
  healthData: Any
}

type NodeStates {
  state: String!
  count: Int!
}

type NodeStatesTimed {
  state: String!
  counts: [Int!]!
  times: [Int!]!
}

type NodeStateResultList {
  items: [Node!]!
  count: Int
}

type NodeMetrics {
  host: String!
  nodeState: String!  # 1.5
  metricHealth: String!  # 1.5
  subCluster: String!
  metrics: [JobMetricWithName!]!
}

type NodesResultList {
  items: [NodeMetrics!]!
  offset: Int
  limit: Int
  count: Int
  totalNodes: Int
  hasNextPage: Boolean
}

type ClusterMetrics {
  nodeCount: Int!
  metrics: [ClusterMetricWithName!]!
}

type ClusterMetricWithName {
  name: String!
  unit: Unit
  timestep: Int!
  data: [NullableFloat]!
}
"""  # noqa: E501 - a line begins and ends what a release has
