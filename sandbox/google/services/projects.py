"""Resource Manager: the projects of the world, where its client is installed (it comes with Beam)."""

from __future__ import annotations

from typing import Any

from google.iam.v1 import iam_policy_pb2 as iam

from sandbox.google.errors import Refused
from sandbox.google.services.base import Method, Service, page
from sandbox.google.world import World

PROJECT_NUMBER = 100_000_000_001


def services(world: World) -> list[Service]:
    """Projects on that world; nothing where the client's types are not installed."""
    try:
        from google.cloud.resourcemanager_v3 import types
    except ImportError:
        return []

    def proto(number: int, project: str) -> Any:
        return types.Project(
            name=f"projects/{PROJECT_NUMBER + number}",
            parent="organizations/1",
            project_id=project,
            display_name=project,
            state=types.Project.State.ACTIVE,
        )

    def got(request: Any) -> Any:
        for number, project in enumerate(projects(world)):
            if request.name in (f"projects/{project}", f"projects/{PROJECT_NUMBER + number}"):
                return proto(number, project)
        raise denied("resourcemanager.projects.get", request.name)

    def searched(request: Any) -> Any:
        found = [proto(number, project) for number, project in enumerate(projects(world))]
        shown, token = page(found, request.page_size, request.page_token, default=100, maximum=500)
        return types.SearchProjectsResponse(projects=list(shown), next_page_token=token)

    def tested(request: Any) -> Any:
        if request.resource.removeprefix("projects/") not in projects(world):
            raise denied("resourcemanager.projects.getIamPolicy", request.resource)
        with world.turn():
            return iam.TestIamPermissionsResponse(permissions=world.iam.granted(request.permissions))

    return [
        Service(
            "google.cloud.resourcemanager.v3.Projects",
            {
                "GetProject": Method(types.GetProjectRequest, types.Project, got),
                "SearchProjects": Method(types.SearchProjectsRequest, types.SearchProjectsResponse, searched),
                "TestIamPermissions": Method(
                    iam.TestIamPermissionsRequest, iam.TestIamPermissionsResponse, tested
                ),
            },
        )
    ]


def projects(world: World) -> list[str]:
    """The ids of the projects that the pipelines run in."""
    return sorted({spec.project for spec in world.specs})


def denied(permission: str, resource: str) -> Refused:
    """What a stranger is told of any project, be it there or not."""
    return Refused(
        "PERMISSION_DENIED",
        f"Permission '{permission}' denied on resource '//cloudresourcemanager.googleapis.com/{resource}' "
        "(or it may not exist).",
    )
