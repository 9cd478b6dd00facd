"""Which of Google's services are switched on in the world's projects."""

from __future__ import annotations

from sandbox.google.errors import Refused, not_found

TITLES = {
    "artifactregistry.googleapis.com": "Artifact Registry API",
    "bigquery.googleapis.com": "BigQuery API",
    "bigtable.googleapis.com": "Cloud Bigtable API",
    "bigtableadmin.googleapis.com": "Cloud Bigtable Admin API",
    "billingbudgets.googleapis.com": "Cloud Billing Budget API",
    "cloudbilling.googleapis.com": "Cloud Billing API",
    "cloudresourcemanager.googleapis.com": "Cloud Resource Manager API",
    "compute.googleapis.com": "Compute Engine API",
    "dataflow.googleapis.com": "Dataflow API",
    "logging.googleapis.com": "Cloud Logging API",
    "monitoring.googleapis.com": "Cloud Monitoring API",
    "pubsub.googleapis.com": "Cloud Pub/Sub API",
    "servicehealth.googleapis.com": "Service Health API",
    "serviceusage.googleapis.com": "Service Usage API",
    "storage.googleapis.com": "Cloud Storage API",
}
# The package of a gRPC method, or the first word of an HTTP one, and the service that it belongs to.
_PACKAGES = {
    "google.pubsub.": "pubsub.googleapis.com",
    "google.dataflow.": "dataflow.googleapis.com",
    "google.monitoring.": "monitoring.googleapis.com",
    "google.logging.": "logging.googleapis.com",
    "google.bigtable.v2.": "bigtable.googleapis.com",
    "google.bigtable.admin.": "bigtableadmin.googleapis.com",
    "google.cloud.billing.": "cloudbilling.googleapis.com",
    "google.cloud.resourcemanager.": "cloudresourcemanager.googleapis.com",
    "bigquery.": "bigquery.googleapis.com",
    "monitoring.": "monitoring.googleapis.com",
    "servicehealth.": "servicehealth.googleapis.com",
    "billingbudgets.": "billingbudgets.googleapis.com",
}


class Usage:
    """The services that are off. Not thread-safe."""

    def __init__(self) -> None:
        self._off: set[str] = set()

    def enabled(self, name: str) -> bool:
        """Raises Refused NOT_FOUND for a service that nobody knows."""
        if name not in TITLES:
            raise not_found(f"services/{name}")
        return name not in self._off

    def switch(self, name: str, *, on: bool) -> None:
        """On or off, in every project of the world. Raises Refused NOT_FOUND."""
        self.enabled(name)
        self._off.discard(name)
        if not on:
            self._off.add(name)

    def clear(self) -> None:
        """Everything on."""
        self._off.clear()

    def check(self, method: str, project: str) -> None:
        """Raises Refused PERMISSION_DENIED when the method ("/package.Service/Method") is of a service that is off."""
        if not self._off:
            return
        called = method.lstrip("/")
        name = next((api for package, api in _PACKAGES.items() if called.startswith(package)), "")
        if name in self._off:
            raise Refused(
                "PERMISSION_DENIED",
                f"{TITLES[name]} has not been used in project {project} before or it is disabled. Enable it by "
                f"visiting https://console.developers.google.com/apis/api/{name}/overview?project={project} then "
                "retry.",
            )
