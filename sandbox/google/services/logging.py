"""Cloud Logging: LoggingServiceV2."""

from __future__ import annotations

from typing import Any

from google.api.monitored_resource_pb2 import MonitoredResource
from google.cloud import logging_v2
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from sandbox.google.errors import invalid
from sandbox.google.filters import Lookup, parse
from sandbox.google.logs import SEVERITIES, LogEntry
from sandbox.google.services.base import Method, Service, from_timestamp, page, pb, timestamp
from sandbox.google.timeline import rfc3339
from sandbox.google.world import World

ORDERS = {"": False, "timestamp asc": False, "timestamp desc": True, "timestamp": False}


def service(world: World) -> Service:
    """LoggingServiceV2 on that world."""
    types = logging_v2.types
    return Service(
        "google.logging.v2.LoggingServiceV2",
        {
            "ListLogEntries": Method(
                types.ListLogEntriesRequest, types.ListLogEntriesResponse, lambda r: _list(world, r)
            ),
            "WriteLogEntries": Method(
                types.WriteLogEntriesRequest, types.WriteLogEntriesResponse, lambda r: _write(world, r)
            ),
            "ListLogs": Method(types.ListLogsRequest, types.ListLogsResponse, lambda r: _logs(world, r)),
        },
    )


def _list(world: World, request: Any) -> Any:
    projects = [_project(name) for name in request.resource_names]
    if not projects:
        raise invalid("resource_names must name at least one resource.")
    if request.order_by not in ORDERS:
        raise invalid(f"order_by must be 'timestamp asc' or 'timestamp desc', not {request.order_by!r}.")
    restriction = parse(request.filter)
    with world.turn() as now:
        found = [
            entry
            for entry in world.logs
            if entry.at <= now and entry.log_name.split("/")[1] in projects and restriction(_lookup(entry))
        ]
    found.sort(key=lambda entry: (entry.at, entry.insert_id), reverse=ORDERS[request.order_by])
    shown, token = page(found, request.page_size, request.page_token, default=50, maximum=1000)
    entries = [_proto(entry) for entry in shown]
    return logging_v2.types.ListLogEntriesResponse(entries=entries, next_page_token=token)


def _lookup(entry: LogEntry) -> Lookup:
    def lookup(path: str) -> object:
        plain: dict[str, object] = {
            "logName": entry.log_name,
            "log_name": entry.log_name,
            "severity": entry.severity,
            "timestamp": rfc3339(entry.at),
            "receiveTimestamp": rfc3339(entry.at),
            "insertId": entry.insert_id,
            "insert_id": entry.insert_id,
            "resource.type": entry.resource_type,
            "textPayload": entry.text or None,
            "text_payload": entry.text or None,
        }
        if path in plain:
            return plain[path]
        if path.startswith("resource.labels."):
            return entry.resource_labels.get(path.removeprefix("resource.labels."))
        if path.startswith("labels."):
            return entry.labels.get(path.removeprefix("labels.").strip('"'))
        for prefix in ("jsonPayload.", "json_payload."):
            if path.startswith(prefix):
                return _inside(entry.fields, path.removeprefix(prefix))
        return None

    return lookup


def _inside(value: Any, path: str) -> object:
    for name in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return None if isinstance(value, dict | list) else value


def _proto(entry: LogEntry) -> Any:
    payload: dict[str, Any] = {"text_payload": entry.text}
    if entry.fields is not None:
        fields = Struct()
        fields.update(dict(entry.fields))
        payload = {"json_payload": fields}
    out = logging_v2.types.LogEntry(
        log_name=entry.log_name,
        resource=MonitoredResource(type=entry.resource_type, labels=dict(entry.resource_labels)),
        timestamp=timestamp(entry.at),
        receive_timestamp=timestamp(entry.at),
        insert_id=entry.insert_id,
        labels=dict(entry.labels),
        **payload,
    )
    pb(out).severity = SEVERITIES.index(entry.severity) * 100
    return out


def _write(world: World, request: Any) -> Any:
    raw = pb(request)
    with world.turn(change=True) as now:
        new = [_entry(world, request, item, now) for item in raw.entries]
        if not request.dry_run:
            for entry in new:
                world.logs.add(entry)
    return logging_v2.types.WriteLogEntriesResponse()


def _entry(world: World, request: Any, item: Any, now: float) -> LogEntry:
    log_name = item.log_name or request.log_name
    _project("/".join(log_name.split("/")[:2]))
    resource = item.resource if item.resource.type else pb(request).resource
    return LogEntry(
        at=from_timestamp(item.timestamp) if item.HasField("timestamp") else now,
        insert_id=item.insert_id or world.logs.next_id(),
        log_name=log_name,
        severity=SEVERITIES[min(len(SEVERITIES) - 1, item.severity // 100)],
        resource_type=resource.type or "global",
        resource_labels=dict(resource.labels),
        labels={**dict(pb(request).labels), **dict(item.labels)},
        text=item.text_payload,
        fields=MessageToDict(item.json_payload) if item.HasField("json_payload") else None,
    )


def _logs(world: World, request: Any) -> Any:
    names = [*request.resource_names, *([request.parent] if request.parent else [])]
    projects = [_project(name) for name in names]
    with world.turn() as now:
        found = sorted(
            {e.log_name for e in world.logs if e.at <= now and e.log_name.split("/")[1] in projects}
        )
    shown, token = page(found, request.page_size, request.page_token, default=100, maximum=1000)
    return logging_v2.types.ListLogsResponse(log_names=list(shown), next_page_token=token)


def _project(name: str) -> str:
    parts = name.split("/")
    if parts[0] != "projects" or len(parts) < 2 or not parts[1]:
        raise invalid(f"Unsupported resource name {name!r}; expected projects/PROJECT.")
    return parts[1]
