"""The settings with which a bot or a pipeline command reaches this sandbox."""

from __future__ import annotations

from sandbox.slack import ids

PROJECT = "demo-project"
REGION = "europe-west1"
WEBHOOK_USER = "monitoring"
WEBHOOK_PASSWORD = "sandbox-webhook-password"
WEBHOOK_TOKEN = "sandbox-webhook-token"
PUSH_PATH = "/webhooks/pubsub"
PUSH_EMAIL = f"push@{PROJECT}.iam.gserviceaccount.com"


def push_audience(app_url: str) -> str:
    """The audience of push tokens."""
    return app_url.rstrip("/") + PUSH_PATH


def environment(
    base_url: str, google_port: int, app_url: str, *, socket_mode: bool = False
) -> dict[str, str]:
    """KEY to value, in the order in which they are printed; `socket_mode` adds the app-level token."""
    google = f"127.0.0.1:{google_port}"
    return {
        "SLACK_BOT_TOKEN": ids.TOKEN,
        "SLACK_SIGNING_SECRET": ids.SIGNING_SECRET,
        **({"SLACK_APP_TOKEN": ids.APP_TOKEN} if socket_mode else {}),
        "SLACK_API_URL": f"{base_url}/api/",
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "REGION": REGION,
        "GOOGLE_API_ENDPOINT": google,
        "GOOGLE_REST_ENDPOINT": base_url,
        "PUBSUB_EMULATOR_HOST": google,
        "BIGQUERY_EMULATOR_HOST": base_url,
        "BIGTABLE_EMULATOR_HOST": google,
        "MONITORING_WEBHOOK_USER": WEBHOOK_USER,
        "MONITORING_WEBHOOK_PASSWORD": WEBHOOK_PASSWORD,
        "MONITORING_WEBHOOK_TOKEN": WEBHOOK_TOKEN,
        "PUBSUB_PUSH_AUDIENCE": push_audience(app_url),
        "PUBSUB_PUSH_EMAIL": PUSH_EMAIL,
        "OIDC_CERTS_URL": f"{base_url}/oauth2/v1/certs",
    }
