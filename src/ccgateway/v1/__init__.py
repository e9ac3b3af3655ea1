"""The messages and stubs of the gRPC interface, package ``ccgateway.v1``: all but this file is made by ``ccgateway schema`` from
``schema/ccgateway/v1/*.proto``, which document every field. Clients written in Python may use them, too.

job_pb2, filter_pb2, metrics_pb2, statistics_pb2, cluster_pb2, report_pb2      what is asked for and given
jobs_service_pb2, writes_service_pb2, directory_service_pb2                    requests and responses of the services
jobs_service_pb2_grpc, writes_service_pb2_grpc, directory_service_pb2_grpc     their stubs
"""
