"""Figures for alarms, as lines that CloudWatch reads out of a function's log (embedded metric format). Counts only."""

import json
import os
import sys
from collections.abc import Mapping

from bridge.bootstrap import Bridge
from bridge.gauges import look, oldest_stop

#: The figures' house in CloudWatch; alarms in serverless.yml name it and them.
NAMESPACE = "ConsentBridge"

#: Name -> unit.
FIGURES: Mapping[str, str] = {
    "OverdueSeconds": "Seconds",  # how long the oldest promised work is due already
    "StopsOldestSeconds": "Seconds",
    "StopsLate": "Count",  # on their way for more than an hour
    "StopsBroken": "Count",  # for more than 48 hours
    "ComplaintPercent": "Percent",  # of the purpose with the most complaints, today or yesterday
}


def figures(bridge: Bridge) -> dict[str, float]:
    """What they are now."""
    found = look(bridge)
    return {
        "OverdueSeconds": found.overdue,
        "StopsOldestSeconds": oldest_stop(found.stops, bridge.clock()),
        "StopsLate": sum(times.late for times in found.stops.values()),
        "StopsBroken": sum(times.broken for times in found.stops.values()),
        "ComplaintPercent": max(found.complaints.values(), default=0.0),
    }


def tell(bridge: Bridge) -> None:
    """Write them into the log, as this function's."""
    metrics = [{"Name": name, "Unit": unit} for name, unit in FIGURES.items()]
    about = {"Namespace": NAMESPACE, "Dimensions": [["FunctionName"]], "Metrics": metrics}
    line = {
        "_aws": {"Timestamp": int(bridge.clock().timestamp() * 1000), "CloudWatchMetrics": [about]},
        "FunctionName": os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "local"),
        **figures(bridge),
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
