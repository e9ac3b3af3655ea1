"""How the gateway is called by gRPC, in lines to copy."""

from __future__ import annotations

from ccgateway.settings import GrpcSettings

__all__ = ["grpc_address", "how_to_call"]


def grpc_address(grpc: GrpcSettings) -> str:
    """Where a client on this machine finds it."""
    host = grpc.host.strip("[]")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"[{host}]:{grpc.port}" if ":" in host else f"{host}:{grpc.port}"


def how_to_call(grpc: GrpcSettings, *, authenticates: bool) -> list[str]:
    """A line for grpcurl and some of Python, for callers who have to show a token (``authenticates``) or need not."""
    address, has_tls = grpc_address(grpc), grpc.cert_file is not None
    schema = "" if grpc.reflection else " -import-path schema -proto ccgateway/v1/jobs_service.proto"
    flags = ("" if has_tls else " -plaintext") + schema
    shown = " -H 'authorization: Bearer TOKEN'" if authenticates else ""
    channel = (
        f'grpc.secure_channel("{address}", grpc.ssl_channel_credentials())' if has_tls else f'grpc.insecure_channel("{address}")'
    )
    metadata = ', metadata=[("authorization", "Bearer TOKEN")]' if authenticates else ""
    return [
        f"grpcurl{flags}{shown} -d '{{\"limit\": 3}}' {address} ccgateway.v1.JobsService/ListJobs",
        "",
        "import grpc",
        "from ccgateway.v1 import jobs_service_pb2 as messages, jobs_service_pb2_grpc as stubs",
        "",
        f"with {channel} as channel:",
        "    jobs = stubs.JobsServiceStub(channel)",
        f"    for batch in jobs.ListJobs(messages.ListJobsRequest(limit=3), timeout=30{metadata}):",
        "        for job in batch.jobs:",
        "            print(job.id, job.user, job.start_time.ToDatetime())",
    ]
