"""Which function answers which method of a service, as its descriptor names them."""

from __future__ import annotations

import re
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import ServiceDescriptor

from ccgateway.federation.gateway import Gateway
from ccgateway.settings import LimitSettings
from ccgateway.surfaces.export.streams import Streams
from ccgateway.surfaces.grpc.calls import Calls
from ccgateway.surfaces.grpc.directory import Directory
from ccgateway.surfaces.grpc.exports import Exports
from ccgateway.surfaces.grpc.jobs import Jobs
from ccgateway.surfaces.grpc.metrics import Metrics
from ccgateway.surfaces.grpc.statistics import Statistics
from ccgateway.surfaces.grpc.writes import WriteMethods
from ccgateway.v1 import directory_service_pb2, jobs_service_pb2, writes_service_pb2

__all__ = ["SERVICES", "handlers_for"]

#: every service of ours
SERVICES: tuple[ServiceDescriptor, ...] = (
    jobs_service_pb2.DESCRIPTOR.services_by_name["JobsService"],
    writes_service_pb2.DESCRIPTOR.services_by_name["WritesService"],
    directory_service_pb2.DESCRIPTOR.services_by_name["DirectoryService"],
)


def handlers_for(calls: Calls, gateway: Gateway, exports: Streams, limits: LimitSettings) -> list[grpc.GenericRpcHandler]:
    """The handlers of all services. Raises ``AttributeError`` for a method that nothing answers.

    Requests and answers go in and out as bytes: a request that is none is refused like any other, and an answer may be made of
    bytes that need not be written once more.
    """
    jobs, writes, directory = SERVICES
    answering = {
        jobs.name: (Jobs(gateway), Exports(gateway, exports), Metrics(gateway, limits), Statistics(gateway)),
        writes.name: (WriteMethods(gateway, limits),),
        directory.name: (Directory(gateway),),
    }
    return [_handler(service, answering[service.name], calls) for service in SERVICES]


def _handler(service: ServiceDescriptor, answering: tuple[object, ...], calls: Calls) -> grpc.GenericRpcHandler:
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
    for method in service.methods:
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower()
        owner = next((one for one in answering if hasattr(one, name)), answering[0])
        kind = message_factory.GetMessageClass(method.input_type)
        if method.server_streaming:
            handlers[method.name] = grpc.unary_stream_rpc_method_handler(calls.streaming(kind, getattr(owner, name)))
        else:
            handlers[method.name] = grpc.unary_unary_rpc_method_handler(calls.unary(kind, getattr(owner, name)))
    return grpc.method_handlers_generic_handler(service.full_name, handlers)
