"""ccgateway: one endpoint in front of many ClusterCockpit instances."""

__version__ = "0.1.0"
