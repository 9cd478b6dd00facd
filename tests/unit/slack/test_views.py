"""Every form is one that Slack takes, whatever a team calls its steps and contacts."""

from __future__ import annotations

import pytest

from bot.core.asks import OpenForm
from bot.slack.views import view_of
from sandbox.slack.blocks import check_view

FORMS = {
    "declare": {},
    "review_edit": {"root_cause": "<!channel> & " * 500, "impact": "none"},
    "action_add": {},
    "step_note": {"answers": "bigquery_quota_exceeded the_sink_is_slow_and_" + "so_" * 40 + "on"},
    "notify": {"to": "Google: https://support.example/case?a=1&b=<2>", "text": "a & b" * 900, "remind": "1h"},
    "plan_confirm": {
        "target": "orders & co",
        "what": "dlq.ack",
        "summary": "<5> & more",
        "then": "it is gone",
    },
}
TITLES = (
    "Drain & relaunch it",
    "Is it <b> or > & then?",
    "& & & & & & & & & & & &",
    "A title far too long for Slack",
)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("title", TITLES)
def test_every_form_is_one_that_slack_takes(name: str, title: str) -> None:
    view = view_of(OpenForm(name=name, title=title, context="7", values=FORMS[name]))
    assert [problem.line() for problem in check_view(view)] == []


def test_whom_a_message_goes_to_is_shown_as_it_is_and_links_nowhere() -> None:
    values = {"to": "Google: <!channel> & <https://evil.example|here>", "text": "t", "remind": ""}
    shown = view_of(OpenForm(name="notify", title="Tell google", context="7", values=values))["blocks"][0]
    assert shown["elements"][0]["text"] == "Google: &lt;!channel&gt; &amp; &lt;https://evil.example|here&gt;"
