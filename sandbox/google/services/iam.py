"""IAM on topics and subscriptions: whoever asks has every permission that was not taken away."""

from __future__ import annotations

from typing import Any

from google.iam.v1 import iam_policy_pb2 as iam

from sandbox.google.errors import not_found
from sandbox.google.services.base import Method, Service
from sandbox.google.world import World


def service(world: World) -> Service:
    """IAMPolicy on that world."""
    return Service(
        "google.iam.v1.IAMPolicy",
        {
            "TestIamPermissions": Method(
                iam.TestIamPermissionsRequest,
                iam.TestIamPermissionsResponse,
                lambda request: _test(world, request),
            )
        },
    )


def _test(world: World, request: Any) -> Any:
    with world.turn():
        known = request.resource in world.pubsub.topics or request.resource in world.pubsub.subscriptions
        granted = world.iam.granted(request.permissions)
    if not known:
        raise not_found(request.resource)
    return iam.TestIamPermissionsResponse(permissions=granted)
