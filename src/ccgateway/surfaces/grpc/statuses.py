"""An error as gRPC tells it: a status with ``google.rpc`` details (AIP-193), by the one table of codes (``errors``).

``ErrorInfo`` has the code as its reason, and in its metadata the site and whether trying again may help; ``RetryInfo`` says after
how long. A ``FederationError`` has its sites' errors as ``ccgateway.v1.SiteErrors``.
"""

from __future__ import annotations

from typing import Final

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from ccgateway.errors import FederationError, GatewayError, RequestError, SiteError
from ccgateway.v1 import report_pb2

__all__ = ["DOMAIN", "error_message", "status_of", "trailers_of"]

#: whose reasons these are
DOMAIN: Final = "ccgateway"
#: sites of which it is said what they came to, and characters of one message: trailers are bounded
MOST_SITES, LONGEST_MESSAGE = 20, 500
#: seconds after which what may be tried again is, where nobody knows better
RETRY_AFTER = 1.0


def status_of(error: GatewayError) -> grpc.StatusCode:
    """The status of an error's code."""
    status: grpc.StatusCode = grpc.StatusCode[error.row.grpc]
    return status


def trailers_of(error: GatewayError) -> tuple[tuple[str, bytes], ...]:
    """The trailing metadata that carries the details."""
    status = status_pb2.Status(code=status_of(error).value[0], message=_shortened(error.message))
    info = {"retryable": "true" if error.retryable else "false"}
    if error.site is not None:
        info["site"] = error.site
    _add(status, error_details_pb2.ErrorInfo(reason=error.code.value, domain=DOMAIN, metadata=info))
    wait = error.retry_after if isinstance(error, (RequestError, SiteError)) else None
    if wait is None and error.retryable:
        wait = RETRY_AFTER
    if wait is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(int(max(0.0, wait) * 1000))
        _add(status, retry)
    if isinstance(error, FederationError) and error.causes:
        _add(status, report_pb2.SiteErrors(errors=[error_message(one) for one in error.causes[:MOST_SITES]]))
    return (("grpc-status-details-bin", status.SerializeToString()),)


def error_message(error: GatewayError) -> report_pb2.Error:
    """An error about one thing among others."""
    return report_pb2.Error(
        code=error.code.value, message=_shortened(error.message), site=error.site or "", retryable=error.retryable
    )


def _add(status: status_pb2.Status, detail: Message) -> None:
    packed = AnyMessage()
    packed.Pack(detail)
    status.details.append(packed)


def _shortened(message: str) -> str:
    return message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - 1] + "…"
