"""Dashboards, budgets, services, service health and projects over HTTP: their clients are not among the dependencies.

The paths are Google's: monitoring v1, billingbudgets v1, serviceusage v1, servicehealth v1, cloudresourcemanager v3.
"""

from __future__ import annotations

from typing import Any

from starlette.routing import Route

from sandbox.google.billing import ACCOUNT, BUDGET_AMOUNT, CURRENCY, THRESHOLDS, budget_id
from sandbox.google.errors import Refused, invalid, not_found
from sandbox.google.rest import Call, Handler, Json, endpoint
from sandbox.google.services.projects import PROJECT_NUMBER, denied, projects
from sandbox.google.usage import TITLES
from sandbox.google.world import BUDGET_TOPIC, World


def dashboards_list(call: Call, now: float) -> Json:
    """projects.dashboards.list."""
    shown, token = call.page(call.world.dashboards.of(_project(call)))
    return {"dashboards": shown} | token


def dashboards_create(call: Call, now: float) -> Json:
    """projects.dashboards.create."""
    return call.world.dashboards.create(_project(call), call.body, only_check=_only_check(call))


def dashboards_get(call: Call, now: float) -> Json:
    """projects.dashboards.get."""
    return call.world.dashboards.get(_dashboard(call))


def dashboards_patch(call: Call, now: float) -> Json:
    """projects.dashboards.patch, which replaces the whole."""
    return call.world.dashboards.replace(_dashboard(call), call.body, only_check=_only_check(call))


def dashboards_delete(call: Call, now: float) -> Json:
    """projects.dashboards.delete."""
    call.world.dashboards.delete(_dashboard(call))
    return {}


def budgets_list(call: Call, now: float) -> Json:
    """billingAccounts.budgets.list; `scope` ("projects/...") narrows it."""
    scope = call.query.get("scope")
    found = [one for one in _budgets(call) if scope in (None, "", *one["budgetFilter"]["projects"])]
    shown, token = call.page(found)
    return {"budgets": shown} | token


def budgets_get(call: Call, now: float) -> Json:
    """billingAccounts.budgets.get."""
    name = f"billingAccounts/{call.path['account']}/budgets/{call.path['budget']}"
    found = next((one for one in _budgets(call) if one["name"] == name), None)
    if found is None:
        raise not_found(name)
    return found


def services_list(call: Call, now: float) -> Json:
    """services.list; `filter` is state:ENABLED, state:DISABLED or nothing."""
    wanted = (call.query.get("filter") or "").removeprefix("state:")
    if wanted not in ("", "ENABLED", "DISABLED"):
        raise invalid("The filter must be state:ENABLED or state:DISABLED.")
    project = _project(call)
    found = [_service(call.world, project, name) for name in TITLES]
    shown, token = call.page([one for one in found if wanted in ("", one["state"])])
    return {"services": shown} | token


def services_get(call: Call, now: float) -> Json:
    """services.get."""
    return _service(call.world, _project(call), call.path["service"])


def services_act(call: Call, now: float) -> Json:
    """services.enable and services.disable, done at once."""
    name, _, action = call.path["service"].partition(":")
    if action not in ("enable", "disable"):
        raise Refused("UNIMPLEMENTED", f"A service can be enabled and disabled, not {action!r}.")
    project = _project(call)
    call.world.usage.switch(name, on=action == "enable")
    found = _service(call.world, project, name)
    return {"name": "operations/noop.DONE_OPERATION", "done": True, "response": {"service": found}}


def events_list(call: Call, now: float) -> Json:
    """projects.locations.events.list of Service Health; `view=EVENT_VIEW_FULL` shows the updates too."""
    project, place = _project(call), call.path["location"]
    full = call.query.get("view") == "EVENT_VIEW_FULL"
    found = call.world.service_events.shown(project, place, call.query.get("filter") or "", now, full=full)
    shown, token = call.page(found)
    return {"events": shown} | token if shown else token


def projects_get(call: Call, now: float) -> Json:
    """projects.get of Resource Manager."""
    project = _project(call)
    number = PROJECT_NUMBER + projects(call.world).index(project)
    return {"name": f"projects/{number}", "projectId": project, "displayName": project, "state": "ACTIVE"}


def projects_act(call: Call, now: float) -> Json:
    """projects.testIamPermissions and projects.getIamPolicy."""
    project, _, action = call.path["project"].partition(":")
    project = _known(call.world, project)
    if action == "testIamPermissions":
        return {"permissions": call.world.iam.granted(call.body.get("permissions") or [])}
    if action == "getIamPolicy":
        return {"version": 1, "etag": "sandbox", "bindings": list(call.world.iam.bindings(project))}
    raise Refused("UNIMPLEMENTED", f"The sandbox does not play {action or 'that'}.")


def _only_check(call: Call) -> bool:
    return call.query.get("validateOnly") == "true"


def _dashboard(call: Call) -> str:
    return f"projects/{_project(call)}/dashboards/{call.path['dashboard']}"


def _project(call: Call) -> str:
    return _known(call.world, call.path["project"])


def _known(world: World, project: str) -> str:
    """The project's id, which may have been said as its number. Raises Refused PERMISSION_DENIED."""
    known = projects(world)
    by_number = {str(PROJECT_NUMBER + number): one for number, one in enumerate(known)}
    found = by_number.get(project, project)
    if found not in known:
        raise denied("resourcemanager.projects.get", f"projects/{project}")
    return found


def _budgets(call: Call) -> list[Json]:
    if f"billingAccounts/{call.path['account']}" != ACCOUNT:
        raise Refused("PERMISSION_DENIED", "The caller does not have permission")
    owner = call.world.specs[0].project
    return [
        {
            "name": f"{ACCOUNT}/budgets/{budget_id(name)}",
            "displayName": name,
            "budgetFilter": {
                "projects": [f"projects/{spec.project}"],
                "creditTypesTreatment": "INCLUDE_ALL_CREDITS",
                "calendarPeriod": "MONTH",
            },
            "amount": {"specifiedAmount": {"currencyCode": CURRENCY, "units": f"{BUDGET_AMOUNT:.0f}"}},
            "thresholdRules": [
                {"thresholdPercent": limit, "spendBasis": "CURRENT_SPEND"} for limit in THRESHOLDS
            ],
            "notificationsRule": {
                "pubsubTopic": f"projects/{owner}/topics/{BUDGET_TOPIC}",
                "schemaVersion": "1.0",
            },
            "ownershipScope": "ALL_USERS",
            "etag": "sandbox",
        }
        for spec in call.world.specs
        for name in spec.budgets
    ]


def _service(world: World, project: str, name: str) -> Json:
    state = "ENABLED" if world.usage.enabled(name) else "DISABLED"
    number = PROJECT_NUMBER + projects(world).index(project)
    return {
        "name": f"projects/{number}/services/{name}",
        "parent": f"projects/{number}",
        "config": {"name": name, "title": TITLES[name]},
        "state": state,
    }


def _route(verb: str, path: str, method: str, handler: Handler) -> Any:
    return Route(path, endpoint(method, handler), methods=[verb])


_DASHBOARDS = "/v1/projects/{project}/dashboards"
_BUDGETS = "/v1/billingAccounts/{account}/budgets"
_SERVICES = "/v1/projects/{project}/services"
routes = [
    _route("GET", _DASHBOARDS, "monitoring.dashboards/list", dashboards_list),
    _route("POST", _DASHBOARDS, "monitoring.dashboards/create", dashboards_create),
    _route("GET", _DASHBOARDS + "/{dashboard}", "monitoring.dashboards/get", dashboards_get),
    _route("PATCH", _DASHBOARDS + "/{dashboard}", "monitoring.dashboards/patch", dashboards_patch),
    _route("DELETE", _DASHBOARDS + "/{dashboard}", "monitoring.dashboards/delete", dashboards_delete),
    _route("GET", _BUDGETS, "billingbudgets.budgets/list", budgets_list),
    _route("GET", _BUDGETS + "/{budget}", "billingbudgets.budgets/get", budgets_get),
    _route("GET", _SERVICES, "serviceusage.services/list", services_list),
    _route("GET", _SERVICES + "/{service}", "serviceusage.services/get", services_get),
    _route("POST", _SERVICES + "/{service}", "serviceusage.services/enable", services_act),
    _route(
        "GET", "/v1/projects/{project}/locations/{location}/events", "servicehealth.events/list", events_list
    ),
    _route("GET", "/v3/projects/{project}", "cloudresourcemanager.projects/get", projects_get),
    _route("POST", "/v3/projects/{project}", "cloudresourcemanager.projects/iam", projects_act),
]
