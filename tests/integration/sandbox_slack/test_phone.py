"""The sandbox's on-call phone: a hook's calls and mails, as a bot sends them, are seen by people and scripts."""

from __future__ import annotations

import json
import smtplib
import urllib.error
import urllib.request
from email.message import EmailMessage
from typing import Any

import pytest

from sandbox.slack.hub import Hub
from tests.support.office import request


def phone(hub: Hub) -> dict[str, Any]:
    return dict(json.loads(request(f"{hub.base_url}/sim/phone")[1]))


def ring(hub: Hub, body: object) -> int:
    data = json.dumps(body).encode()
    try:
        with urllib.request.urlopen(f"{hub.base_url}/phone/hook", data=data, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_calls_and_mails_are_shown_the_newest_first(hub: Hub) -> None:
    link = "http://127.0.0.1:8080/ack/abc"
    assert ring(hub, {"event": "page", "person": "alice", "summary": "<b>INC-7", "ack_url": link}) == 200
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "pages@example.com", "alice@example.com", "INC-7: Überlauf"
    mail.set_content(f"Zeile\n.\nAcknowledge: {link}\n")
    with smtplib.SMTP("127.0.0.1", phone(hub)["smtp_port"], "test", timeout=10) as smtp:
        smtp.send_message(mail)
    first, second = phone(hub)["items"][:2]
    assert (first["kind"], first["person"], first["link"]) == ("mail", "alice@example.com", link)
    assert "Überlauf" in first["text"]
    assert "\n.\n" in first["text"]
    assert (second["kind"], second["person"], second["link"]) == ("call", "alice", link)
    shown = request(f"{hub.base_url}/phone")[1]
    assert shown.count(f'<a href="{link}">Answer it</a>') == 2
    assert "&lt;b&gt;INC-7" in shown


@pytest.mark.parametrize("body", [[], "text", 7])
def test_what_is_no_call_is_refused(hub: Hub, body: object) -> None:
    assert ring(hub, body) == 400


def test_a_link_that_is_no_address_is_not_shown_as_one(hub: Hub) -> None:
    ring(hub, {"event": "page", "person": "bob", "summary": "x", "ack_url": "javascript:alert(1)"})
    assert phone(hub)["items"][0]["link"] == ""
