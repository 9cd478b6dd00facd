"""From a Cloud Monitoring notification to an alert (Rules: From notification to alert)."""

from __future__ import annotations

from bot.core.alert_model import (
    Alert,
    Family,
    Kind,
    Severity,
    State,
    TestNotification,
    Unusable,
    from_dict,
    to_dict,
)

__all__ = [
    "Alert",
    "Family",
    "Kind",
    "Severity",
    "State",
    "TestNotification",
    "Unusable",
    "from_dict",
    "to_dict",
]
