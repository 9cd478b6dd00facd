"""Service Health (servicehealth v1): the active events that Google itself reports for a project.

It speaks HTTP; its own client is not among the dependencies.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pipeline.checks import disabled
from pipeline.errors import ConfigError, Denied, PipelineError
from pipeline.google.clients import Clients
from pipeline.google.errors import explained
from pipeline.google.rest import get_json
from pipeline.service_health import ServiceEvent, ServiceHealth

API: Final = "servicehealth.googleapis.com"
_SERVICE: Final = "Service Health"
_PAGES: Final = 5
_MOST_S: Final = 5.0  # a side question: nobody waits longer for it


def service_health(clients: Clients, project: str, deadline_s: float) -> ServiceHealth:
    """The active events of a project; raises nothing: what is not known says why and what mends it."""
    try:
        return ServiceHealth(events=tuple(_active(clients, project, min(deadline_s, _MOST_S))))
    except Denied as denied:
        if disabled(denied):
            mend = f"gcloud services enable {API} --project {project}"
            return ServiceHealth(unknown=f"Its API is not enabled; `{mend}` enables it.")
        return ServiceHealth(unknown=f"{denied} `{_grant(project)}` grants it.")
    except ConfigError as error:
        return ServiceHealth(unknown=f"{str(error)[:1].upper()}{str(error)[1:]}.")
    except PipelineError as error:
        return ServiceHealth(unknown=str(error))


def _grant(project: str) -> str:
    return (
        f"gcloud projects add-iam-policy-binding {project} --member=ACCOUNT --role=roles/servicehealth.viewer"
    )


def _active(clients: Clients, project: str, deadline_s: float) -> list[ServiceEvent]:
    address = f"{clients.url('servicehealth')}/v1/projects/{project}/locations/global/events"
    found: list[ServiceEvent] = []
    token = ""
    for _ in range(_PAGES):
        query = {"filter": "state=ACTIVE", "view": "EVENT_VIEW_FULL", "pageSize": "50", "pageToken": token}
        with explained(_SERVICE, "listing the events"):
            answer = get_json(clients, address, query, deadline_s)
        events = answer.get("events")
        found += [_event(one) for one in events or () if isinstance(one, Mapping)]
        token = str(answer.get("nextPageToken") or "")
        if not token:
            break
    return found


def _event(raw: Mapping[str, Any]) -> ServiceEvent:
    impacts = [one for one in raw.get("eventImpacts") or () if isinstance(one, Mapping)]
    updates = [one for one in raw.get("updates") or () if isinstance(one, Mapping)]
    newest = max(updates, key=lambda one: str(one.get("updateTime") or ""), default={})
    return ServiceEvent(
        title=str(raw.get("title") or raw.get("description") or "no title"),
        products=_named(impacts, "product", "productName"),
        locations=_named(impacts, "location", "locationName"),
        relevance=str(raw.get("relevance") or ""),
        symptom=str(newest.get("symptom") or ""),
        workaround=str(newest.get("workaround") or ""),
        since=_time(raw.get("startTime")),
        updated=_time(raw.get("updateTime")),
    )


def _named(impacts: list[Mapping[str, Any]], part: str, name: str) -> tuple[str, ...]:
    names = [str((one.get(part) or {}).get(name) or "") for one in impacts]
    return tuple(dict.fromkeys(one for one in names if one))


def _time(raw: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(raw))
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
