"""Cloud Monitoring: AlertPolicyService and NotificationChannelService."""

from __future__ import annotations

from typing import Any

from google.cloud import monitoring_v3
from google.protobuf.empty_pb2 import Empty

from sandbox.google import policies
from sandbox.google.services.base import Method, Service, page, pb
from sandbox.google.world import World


def services(world: World) -> list[Service]:
    """Both services on that world."""
    return [_policies(world), _channels(world)]


def _policies(world: World) -> Service:
    types = monitoring_v3.types

    def listed(request: Any) -> Any:
        with world.turn():
            found = policies.chosen(world.policies.policies, request.name, request.filter)
        shown, token = page(found, request.page_size, request.page_token, default=1000, maximum=1000)
        return types.ListAlertPoliciesResponse(
            alert_policies=list(shown), next_page_token=token, total_size=len(found)
        )

    def got(request: Any) -> Any:
        with world.turn():
            return types.AlertPolicy(world.policies.get(world.policies.policies, request.name))

    def created(request: Any) -> Any:
        with world.turn() as now:
            return types.AlertPolicy(world.policies.put_policy(request.name, request.alert_policy, now))

    def updated(request: Any) -> Any:
        mask = list(pb(request).update_mask.paths)
        with world.turn() as now:
            return types.AlertPolicy(world.policies.change_policy(request.alert_policy, mask, now))

    def deleted(request: Any) -> Any:
        with world.turn():
            del world.policies.policies[world.policies.get(world.policies.policies, request.name).name]
        return Empty()

    return Service(
        "google.monitoring.v3.AlertPolicyService",
        {
            "ListAlertPolicies": Method(
                types.ListAlertPoliciesRequest, types.ListAlertPoliciesResponse, listed
            ),
            "GetAlertPolicy": Method(types.GetAlertPolicyRequest, types.AlertPolicy, got),
            "CreateAlertPolicy": Method(types.CreateAlertPolicyRequest, types.AlertPolicy, created),
            "UpdateAlertPolicy": Method(types.UpdateAlertPolicyRequest, types.AlertPolicy, updated),
            "DeleteAlertPolicy": Method(types.DeleteAlertPolicyRequest, Empty, deleted),
        },
    )


def _channels(world: World) -> Service:
    types = monitoring_v3.types

    def listed(request: Any) -> Any:
        with world.turn():
            found = policies.chosen(world.policies.channels, request.name, request.filter)
        shown, token = page(found, request.page_size, request.page_token, default=1000, maximum=1000)
        return types.ListNotificationChannelsResponse(
            notification_channels=list(shown), next_page_token=token, total_size=len(found)
        )

    def got(request: Any) -> Any:
        with world.turn():
            return types.NotificationChannel(world.policies.get(world.policies.channels, request.name))

    def created(request: Any) -> Any:
        with world.turn() as now:
            made = world.policies.put_channel(request.name, request.notification_channel, now)
            return types.NotificationChannel(made)

    def updated(request: Any) -> Any:
        mask = list(pb(request).update_mask.paths)
        with world.turn() as now:
            made = world.policies.change_channel(request.notification_channel, mask, now)
            return types.NotificationChannel(made)

    def deleted(request: Any) -> Any:
        with world.turn():
            world.policies.drop_channel(request.name, force=request.force)
        return Empty()

    kind = types.NotificationChannel
    return Service(
        "google.monitoring.v3.NotificationChannelService",
        {
            "ListNotificationChannels": Method(
                types.ListNotificationChannelsRequest, types.ListNotificationChannelsResponse, listed
            ),
            "GetNotificationChannel": Method(types.GetNotificationChannelRequest, kind, got),
            "CreateNotificationChannel": Method(types.CreateNotificationChannelRequest, kind, created),
            "UpdateNotificationChannel": Method(types.UpdateNotificationChannelRequest, kind, updated),
            "DeleteNotificationChannel": Method(types.DeleteNotificationChannelRequest, Empty, deleted),
        },
    )
