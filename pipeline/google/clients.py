"""Google's official clients, made when first used.

The address decides what they talk to, nothing else: without settings the real Google Cloud with
application default credentials; with GOOGLE_API_ENDPOINT one server that speaks every service in
clear text (the sandbox); with PUBSUB_EMULATOR_HOST or BIGTABLE_EMULATOR_HOST Google's emulator for that; with
GOOGLE_REST_ENDPOINT (or BIGQUERY_EMULATOR_HOST) BigQuery over HTTP there.  Google's
``client_options.api_endpoint`` alone would speak TLS to it, hence the injected channel.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from threading import RLock
from typing import Any, Final

from pipeline.errors import ConfigError

_OPTIONS: Final = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),  # a proxy for the internet must not see loopback calls
    # One channel each: the default, a pool shared by the whole process, outlives close().
    ("grpc.use_local_subchannel_pool", 1),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleSettings:
    """Where Google Cloud is; empty addresses mean the real one."""

    project: str = ""
    region: str = ""
    endpoint: str = ""
    pubsub_emulator: str = ""
    bigtable_emulator: str = ""
    rest: str = ""  # of what speaks HTTP alone: BigQuery

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> GoogleSettings:
        """From the environment; ConfigError with all mistakes."""
        env = os.environ if env is None else env
        found = cls(
            project=env.get("GOOGLE_CLOUD_PROJECT", ""),
            region=env.get("REGION", ""),
            endpoint=env.get("GOOGLE_API_ENDPOINT", ""),
            pubsub_emulator=env.get("PUBSUB_EMULATOR_HOST", ""),
            bigtable_emulator=env.get("BIGTABLE_EMULATOR_HOST", ""),
            rest=env.get("GOOGLE_REST_ENDPOINT", "") or env.get("BIGQUERY_EMULATOR_HOST", ""),
        )
        mistakes = [
            f"{name} is an address like 127.0.0.1:8401, not {value!r}"
            for name, value in (
                ("GOOGLE_API_ENDPOINT", found.endpoint),
                ("PUBSUB_EMULATOR_HOST", found.pubsub_emulator),
                ("BIGTABLE_EMULATOR_HOST", found.bigtable_emulator),
            )
            if value and not _is_address(value)
        ]
        if found.rest and not found.rest.startswith(("http://", "https://")):
            mistakes.append(
                "GOOGLE_REST_ENDPOINT or BIGQUERY_EMULATOR_HOST is an address like http://127.0.0.1:8400, not "
                f"{found.rest!r}"
            )
        if mistakes:
            raise ConfigError(mistakes)
        return found


class Clients:
    """One object that holds every client; threads may share it.  ``close`` ends its channels."""

    def __init__(self, settings: GoogleSettings | None = None) -> None:
        self.settings = settings or GoogleSettings.from_env()
        self._lock = RLock()
        self._channels: dict[str, Any] = {}
        self._made: list[Any] = []

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def jobs(self) -> Any:
        """Dataflow's jobs: list, get, update."""
        from google.cloud.dataflow_v1beta3.services import jobs_v1_beta3 as service

        return self._make(service.JobsV1Beta3Client, self.settings.endpoint)

    @cached_property
    def metrics(self) -> Any:
        """Dataflow's job metrics."""
        from google.cloud.dataflow_v1beta3.services import metrics_v1_beta3 as service

        return self._make(service.MetricsV1Beta3Client, self.settings.endpoint)

    @cached_property
    def messages(self) -> Any:
        """Dataflow's job messages."""
        from google.cloud.dataflow_v1beta3.services import messages_v1_beta3 as service

        return self._make(service.MessagesV1Beta3Client, self.settings.endpoint)

    @cached_property
    def flex(self) -> Any:
        """Dataflow's flex templates: launch."""
        from google.cloud.dataflow_v1beta3.services import flex_templates_service as service

        return self._make(service.FlexTemplatesServiceClient, self.settings.endpoint)

    @cached_property
    def monitoring(self) -> Any:
        """Cloud Monitoring's time series."""
        from google.cloud.monitoring_v3.services.metric_service import MetricServiceClient

        return self._make(MetricServiceClient, self.settings.endpoint)

    @cached_property
    def policies(self) -> Any:
        """Cloud Monitoring's alert policies."""
        from google.cloud.monitoring_v3.services.alert_policy_service import AlertPolicyServiceClient

        return self._make(AlertPolicyServiceClient, self.settings.endpoint)

    @cached_property
    def channels(self) -> Any:
        """Cloud Monitoring's notification channels."""
        from google.cloud.monitoring_v3.services.notification_channel_service import (
            NotificationChannelServiceClient,
        )

        return self._make(NotificationChannelServiceClient, self.settings.endpoint)

    @cached_property
    def logging(self) -> Any:
        """Cloud Logging's entries.  (The hand-written client beside this one takes neither transport nor deadline.)"""
        from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client

        return self._make(LoggingServiceV2Client, self.settings.endpoint)

    @cached_property
    def billing(self) -> Any:
        """Cloud Billing: which account a project has, and whether billing is on.  It knows no spend."""
        from google.cloud import billing_v1

        return self._make(billing_v1.CloudBillingClient, self.settings.endpoint)

    @cached_property
    def catalog(self) -> Any:
        """Cloud Billing's public catalogue: list prices."""
        from google.cloud import billing_v1

        return self._make(billing_v1.CloudCatalogClient, self.settings.endpoint)

    @cached_property
    def bigquery(self) -> Any:
        """BigQuery; every query names the project that runs it.

        ConfigError when Google's other services are elsewhere and nothing says where BigQuery is: then the
        real one must not be asked by mistake.
        """
        from google.cloud import bigquery

        project = self.settings.project or "local"
        if self.settings.rest:
            from google.auth.credentials import AnonymousCredentials

            options = {"api_endpoint": self.settings.rest.rstrip("/")}
            client = bigquery.Client(
                project=project, credentials=AnonymousCredentials(), client_options=options
            )
        elif self.settings.endpoint:
            raise ConfigError(
                f"there is no BigQuery at {self.settings.endpoint}; set GOOGLE_REST_ENDPOINT to where it is"
            )
        else:
            client = bigquery.Client(project=project)
        return self._keep(client)

    @cached_property
    def bigtable(self) -> Any:
        """Bigtable's rows."""
        from google.cloud import bigtable_v2

        return self._make(bigtable_v2.BigtableClient, self._bigtable_address)

    @cached_property
    def bigtable_tables(self) -> Any:
        """Bigtable's tables: look, create."""
        from google.cloud import bigtable_admin_v2

        return self._make(bigtable_admin_v2.BaseBigtableTableAdminClient, self._bigtable_address)

    @cached_property
    def bigtable_instances(self) -> Any:
        """Bigtable's instances and clusters, which its emulator does not know."""
        from google.cloud import bigtable_admin_v2

        address = self.settings.endpoint or self.settings.bigtable_emulator
        return self._make(bigtable_admin_v2.BigtableInstanceAdminClient, address)

    @property
    def _bigtable_address(self) -> str:
        return self.settings.bigtable_emulator or self.settings.endpoint

    @cached_property
    def http(self) -> Any:
        """A session for the services that have no client among the dependencies; :meth:`url` has their addresses."""
        from google.auth.transport.requests import AuthorizedSession

        if self.settings.rest:
            from google.auth.credentials import AnonymousCredentials

            session = AuthorizedSession(AnonymousCredentials())
            session.trust_env = False  # a proxy for the internet must not see loopback calls
            return self._keep(session)
        import google.auth

        credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
        return self._keep(AuthorizedSession(credentials))

    def url(self, service: str) -> str:
        """Where a service ("serviceusage") is spoken to over HTTP.

        ConfigError when Google's other services are elsewhere and nothing says where this one is.
        """
        if self.settings.rest:
            return self.settings.rest.rstrip("/")
        if self.settings.endpoint:
            raise ConfigError(
                f"{service} is not at {self.settings.endpoint}; set GOOGLE_REST_ENDPOINT to where it is"
            )
        return f"https://{service}.googleapis.com"

    @cached_property
    def publisher(self) -> Any:
        """Pub/Sub topics: publish with an answer for each call (no background batching)."""
        # The package first, here and below: two threads that import two of its modules at once would
        # each find the other's half-made.
        from google import pubsub_v1

        return self._make(pubsub_v1.PublisherClient, self.settings.pubsub_emulator or self.settings.endpoint)

    @cached_property
    def subscriber(self) -> Any:
        """Pub/Sub subscriptions: unary pull, acknowledge, modify a deadline."""
        from google import pubsub_v1

        return self._make(pubsub_v1.SubscriberClient, self.settings.pubsub_emulator or self.settings.endpoint)

    def close(self) -> None:
        """Ends every channel; the clients cannot be used afterwards."""
        with self._lock:
            for client in self._made:
                transport = getattr(client, "transport", None)
                if transport is not None:
                    transport.close()
                elif hasattr(client, "close"):
                    client.close()
            for channel in self._channels.values():
                channel.close()
            self._made.clear()
            self._channels.clear()

    def _make(self, client: Any, address: str) -> Any:
        if not address:
            return self._keep(client())
        transport = client.get_transport_class("grpc")
        return client(transport=transport(channel=self._channel(address)))

    def _keep(self, client: Any) -> Any:
        with self._lock:
            self._made.append(client)
        return client

    def _channel(self, address: str) -> Any:
        import grpc

        with self._lock:
            if address not in self._channels:
                self._channels[address] = grpc.insecure_channel(address, options=_OPTIONS)
            return self._channels[address]


def _is_address(text: str) -> bool:
    host, colon, port = text.rpartition(":")
    return bool(host and colon and port.isdigit() and 0 < int(port) < 65536 and "/" not in host)
