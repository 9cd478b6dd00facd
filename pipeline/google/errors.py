"""Google's exceptions, turned into ours with words: what happened, what it means, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pipeline.errors import Denied, Missing, PipelineError, QuotaExceeded, Refused, Timeout, Unreachable

_PERMISSION: Final = re.compile(r"\b([a-z]+(?:\.[a-zA-Z]+){2,})\b")
_RESOURCE: Final = re.compile(r"projects/[\w.:-]+(?:/[\w.%:-]+)*")
# What to grant where the message does not name the permission itself.
_ROLES: Final = {
    "Dataflow": "roles/dataflow.viewer (to look) or roles/dataflow.developer (to restart)",
    "BigQuery": "roles/bigquery.jobUser on the project and roles/bigquery.dataViewer on the dataset",
    "Cloud Monitoring": "roles/monitoring.viewer",
    "Cloud Logging": "roles/logging.viewer",
    "Service Health": "roles/servicehealth.viewer",
    "Cloud Billing": "roles/billing.viewer and billing.resourceAssociations on the project",
    "Pub/Sub": "roles/pubsub.viewer, roles/pubsub.subscriber and roles/pubsub.publisher",
}


@contextmanager
def explained(service: str, doing: str) -> Iterator[None]:
    """Runs a block of calls to ``service`` ("Dataflow"); ``doing`` completes "while ..."."""
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth

    try:
        yield
    except PipelineError:
        raise
    except (api.GoogleAPICallError, api.RetryError) as error:
        raise translate(error, service, doing) from error
    except auth.GoogleAuthError as error:
        raise Denied(
            f"No Google credentials while {doing}: {_first(error)}. "
            "Nothing was asked. Run `gcloud auth application-default login` or set a service account.",
            remedy="gcloud auth application-default login",
        ) from error
    except OSError as error:
        # A service over HTTP that cannot be reached raises the errors of sockets, not Google's.
        raise translate(error, service, doing) from error


def translate(error: Exception, service: str, doing: str) -> PipelineError:
    """The error of ours that says what one of Google's means to a person."""
    from google.api_core import exceptions as api

    if isinstance(error, api.RetryError):
        cause = error.cause
        if isinstance(cause, Exception) and not isinstance(cause, api.RetryError):
            return translate(cause, service, doing)
        return Timeout(f"{service} did not answer in time while {doing}. Its state is unknown; try again.")
    text = _first(error)
    if isinstance(error, TimeoutError):
        return Timeout(f"{service} did not answer in time while {doing}. Its state is unknown; try again.")
    if isinstance(error, api.TooManyRequests | api.ResourceExhausted) or _over_quota(error):
        return QuotaExceeded(
            f"{service} refused for its quota while {doing}: {text}. "
            "Wait a minute and repeat; if it stays so, raise the quota in the console (IAM, Quotas)."
        )
    if isinstance(error, api.Forbidden | api.Unauthorized):
        return _denied(text, service, doing)
    if isinstance(error, api.NotFound):
        found = _RESOURCE.search(text)
        resource = found.group(0) if found else ""
        return Missing(
            f"{service} found nothing while {doing}: {text}. "
            "Either it does not exist or pipelines.yaml names it wrongly; compare project, region and name.",
            resource=resource,
        )
    if isinstance(error, api.DeadlineExceeded | api.GatewayTimeout):
        return Timeout(f"{service} did not answer in time while {doing}. Its state is unknown; try again.")
    if isinstance(error, api.ServiceUnavailable | api.ServerError | OSError):
        return Unreachable(
            f"{service} is not reachable while {doing}: {text}. Nothing is known about the pipeline from it; "
            "try again, and look at the service health page of Google Cloud."
        )
    return Refused(f"{service} refused while {doing}: {text}")


def _over_quota(error: Exception) -> bool:
    """BigQuery says 403 for a quota too, and tells it from a missing permission by its reason alone."""
    reasons = {str(one.get("reason")) for one in getattr(error, "errors", ()) if isinstance(one, dict)}
    return bool(reasons & {"quotaExceeded", "rateLimitExceeded"})


def _denied(text: str, service: str, doing: str) -> Denied:
    found = _PERMISSION.search(text)
    permission = found.group(1) if found else ""
    need = permission or _ROLES.get(service, "a role with that permission")
    return Denied(
        f"{service} denies access while {doing}: {text}. The account in use lacks {need}; "
        "have it granted on the project.",
        permission=permission,
        remedy=f"grant {need}",
    )


def _first(error: Exception) -> str:
    """The first line of Google's message, without its numeric prefix."""
    message = getattr(error, "message", None) or str(error) or type(error).__name__
    return str(message).splitlines()[0].strip().rstrip(".")
