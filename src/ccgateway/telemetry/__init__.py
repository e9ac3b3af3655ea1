"""What the gateway tells its operator while it works: metrics, logs, traces. Rooms above report here and know no library of it.

catalogue  every metric, drawn once
logs       lines without secrets, for people or for machines
"""

from ccgateway.telemetry.logs import (
    LogObserver,
    Observer,
    Rarely,
    RedactingFilter,
    Trouble,
    Troubles,
    configure_logging,
)

__all__ = ["LogObserver", "Observer", "Rarely", "RedactingFilter", "Trouble", "Troubles", "configure_logging"]
