"""What the gateway tells its operator while it works: metrics, logs, traces. Rooms above report here and know no library of it.

observer   the port that layers report to
requests   what is known of the request that is being answered
catalogue  every metric, drawn once
meter      the counts of one process
samples    values on their way: between processes, and to Prometheus
logs       lines without secrets, for people or for machines
access_log one line for each request
recorder   tells of requests from their beginning to their end
tracing    the port for traces
traces     the same by OpenTelemetry
states     a site goes down, and comes back: a line each
troubles   what does not work although the gateway serves; lines that are said once in a while
"""

from ccgateway.telemetry.logs import RedactingFilter, configure_logging
from ccgateway.telemetry.observer import Observer
from ccgateway.telemetry.troubles import Rarely, Trouble, Troubles

__all__ = ["Observer", "Rarely", "RedactingFilter", "Trouble", "Troubles", "configure_logging"]
