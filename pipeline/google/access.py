"""What accounts may do in a project, and which APIs are on in it.

Resource Manager and Service Usage are spoken to over HTTP: their clients are not among the dependencies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pipeline.catalogue import Pipeline
from pipeline.checks import Failed, Unknowable
from pipeline.google.calls import reading, reading_bigquery, reading_http
from pipeline.google.clients import Clients
from pipeline.google.errors import explained

_PAGE: Final = 200
_PAGES: Final = 20


def granted_on_project(
    clients: Clients, project: str, permissions: Sequence[str], deadline_s: float
) -> frozenset[str]:
    """Those of the permissions that the account in use has on the whole project."""
    url = f"{clients.url('cloudresourcemanager')}/v3/projects/{project}:testIamPermissions"
    with explained("Resource Manager", f"asking for permissions on {project}"):
        answer = _json(
            clients.http.post(url, json={"permissions": list(permissions)}, timeout=reading_http(deadline_s))
        )
    return frozenset(str(one) for one in answer.get("permissions") or [])


def granted_on_table(
    clients: Clients, pipeline: Pipeline, table: str, permissions: Sequence[str], deadline_s: float
) -> frozenset[str]:
    """Those that the account in use has on one table of the dataset."""
    name = f"{pipeline.project}.{pipeline.dataset}.{table}"
    with explained("BigQuery", f"asking for permissions on {name}"):
        answer = clients.bigquery.test_iam_permissions(
            name, list(permissions), **reading_bigquery(deadline_s)
        )
    return frozenset(str(one) for one in answer.get("permissions") or [])


def granted_on_statistics(
    clients: Clients, pipeline: Pipeline, permissions: Sequence[str], deadline_s: float
) -> frozenset[str]:
    """Those that the account in use has on the Bigtable table; Unknowable on its emulator."""
    from google.api_core import exceptions as api

    name = (
        f"projects/{pipeline.project}/instances/{pipeline.bigtable_instance}/tables/{pipeline.bigtable_table}"
    )
    request = {"resource": name, "permissions": list(permissions)}
    with explained("Bigtable", f"asking for permissions on {pipeline.bigtable_table}"):
        try:
            answer = clients.bigtable_tables.test_iam_permissions(request=request, **reading(deadline_s))
        except api.MethodNotImplemented as error:
            raise Unknowable("permissions cannot be asked for at this address") from error
    return frozenset(answer.permissions)


def roles_of(clients: Clients, project: str, account: str, deadline_s: float) -> frozenset[str]:
    """The roles that the project's own policy gives to a service account by its name."""
    url = f"{clients.url('cloudresourcemanager')}/v3/projects/{project}:getIamPolicy"
    body = {"options": {"requestedPolicyVersion": 3}}
    with explained("Resource Manager", f"reading the policy of {project}"):
        policy = _json(clients.http.post(url, json=body, timeout=reading_http(deadline_s)))
    member = f"serviceAccount:{account}"
    return frozenset(
        str(binding.get("role"))
        for binding in policy.get("bindings") or []
        if member in (binding.get("members") or [])
    )


def project_number(clients: Clients, project: str, deadline_s: float) -> str:
    """The number by which Google names a project's own service accounts."""
    with explained("Resource Manager", f"looking at project {project}"):
        answer = _json(
            clients.http.get(
                f"{clients.url('cloudresourcemanager')}/v3/projects/{project}",
                timeout=reading_http(deadline_s),
            )
        )
    return str(answer.get("name") or "").rpartition("/")[2]


def enabled_apis(clients: Clients, project: str, deadline_s: float) -> frozenset[str]:
    """The APIs that are on in the project, as "pubsub.googleapis.com"."""
    url = f"{clients.url('serviceusage')}/v1/projects/{project}/services"
    found: set[str] = set()
    token = ""
    with explained("Service Usage", f"listing the APIs of {project}"):
        for _ in range(_PAGES):
            query = {"filter": "state:ENABLED", "pageSize": str(_PAGE), "pageToken": token}
            answer = _json(clients.http.get(url, params=query, timeout=reading_http(deadline_s)))
            found |= {str(one["name"]).rpartition("/")[2] for one in answer.get("services") or []}
            token = str(answer.get("nextPageToken") or "")
            if not token:
                break
    return frozenset(found)


def all_of(needed: Iterable[str], granted: frozenset[str]) -> str:
    """The needed ones in words; Failed with those that are lacking."""
    needed = list(needed)
    lacking = [one for one in needed if one not in granted]
    if lacking:
        raise Failed(f"the account in use lacks {', '.join(lacking)}")
    return ", ".join(needed)


def _json(answer: Any) -> Mapping[str, Any]:
    """The answer's JSON; Google's exception of its status otherwise."""
    from google.api_core import exceptions as api

    if answer.status_code != 200:
        raise api.from_http_response(answer)
    found = answer.json()
    if not isinstance(found, dict):
        raise Unknowable("the answer is no JSON object")
    return found
