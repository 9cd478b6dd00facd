"""Who may do what in the world: whoever asks may do all but what was taken away; workers have roles by name.

Not thread-safe: callers hold the world's lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

WORKER_ROLES = (
    "roles/bigquery.dataEditor",
    "roles/bigtable.user",
    "roles/dataflow.worker",
    "roles/pubsub.publisher",
    "roles/pubsub.subscriber",
    "roles/storage.objectAdmin",
)


def worker_account(project: str) -> str:
    """The e-mail of the account that Dataflow's workers run as."""
    return f"dataflow-workers@{project}.iam.gserviceaccount.com"


class Iam:
    """`lacking` are permissions that whoever asks does not have; `roles` are the workers' on their project."""

    def __init__(self) -> None:
        self.lacking: set[str] = set()
        self.roles: set[str] = set(WORKER_ROLES)

    def granted(self, permissions: Iterable[str]) -> list[str]:
        """Those of the permissions that whoever asks has, in their order."""
        return [one for one in permissions if one not in self.lacking]

    def bindings(self, project: str) -> Iterator[dict[str, object]]:
        """The project's policy."""
        for role in sorted(self.roles):
            yield {"role": role, "members": [f"serviceAccount:{worker_account(project)}"]}
