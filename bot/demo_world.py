"""The processes of the demo, and the sandbox's control interface as the demo uses it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from bot.demo_kept import Survivor, holder, mark, write_pid

PRESS_AGAIN_S = 8.0  # Slack shows a form only within three seconds of the click


class Trouble(Exception):
    """The demo cannot go on, and why."""


def free_port(wanted: int) -> int:
    """The wanted port if it, and the one after it, are free; else a free pair."""
    candidates: list[int] = [wanted, *range(wanted + 10, wanted + 400, 10)]
    for first in candidates:
        if all(_is_free(port) for port in (first, first + 1)):
            return first
    raise Trouble(f"no free port near {wanted}")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Processes:
    """Children that end with the demo, whatever happens."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.folder = folder
        self._children: dict[str, subprocess.Popen[bytes] | Survivor] = {}
        self._kept: set[str] = set()

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in reversed(self._children.values()):
            child.terminate()
        for child in self._children.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=12)
            if child.poll() is None:
                child.kill()

    def start(self, name: str, module: Sequence[str], env: Mapping[str, str], *, kept: bool = False) -> None:
        """``python -m module``, its output in a file of the demo's folder; ``kept``: somebody starts it again."""
        if kept:
            self._kept.add(name)
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("SLACK_", "GOOGLE_", "PUBSUB_"))}
        with (self.folder / f"{name}.log").open("ab") as out, mark(self._mark(name)) as held:
            child = subprocess.Popen(
                [sys.executable, "-m", *module],
                cwd=self.root,
                env={**clean, **env, "PYTHONUNBUFFERED": "1"},
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(held,),
            )
            write_pid(held, child.pid)
        self._children[name] = child

    def adopt(self, name: str) -> bool:
        """Take over what another director started in this folder; False when it does not live any more."""
        pid = holder(self._mark(name))
        if pid is not None:
            self._children[name] = Survivor(self._mark(name), pid)
        return pid is not None

    def _mark(self, name: str) -> Path:
        return self.folder / f"{name}.pid"

    def finish(self, module: Sequence[str], env: Mapping[str, str]) -> None:
        """``python -m module`` to its end. Raises Trouble with what it said when it fails."""
        done = subprocess.run(
            [sys.executable, "-m", *module],
            cwd=self.root,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Trouble(f"{' '.join(module)} ended with {done.returncode}: {done.stderr[-1000:]}")

    def kill(self, name: str) -> None:
        """kill -9."""
        self._children[name].kill()
        self._children[name].wait()

    def pid(self, name: str) -> int:
        """The process id of a child."""
        return self._children[name].pid

    def code(self, name: str) -> int | None:
        """The exit code of a child; None while it lives."""
        return self._children[name].poll()

    def check(self) -> None:
        """Raises Trouble when a child ended by itself, unless somebody keeps it alive."""
        for name, child in list(self._children.items()):
            if child.poll() is not None and name not in self._kept:
                raise Trouble(f"the {name} ended with code {child.returncode}")

    def settings(self, port: int) -> dict[str, str]:
        """What ``python -m sandbox env`` prints."""
        out = subprocess.run(
            [sys.executable, "-m", "sandbox", "env", "--port", str(port)],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        return dict(part.split("=", 1) for part in out.splitlines() if "=" in part)

    def last_lines(self, count: int = 12) -> str:
        """The end of what each child wrote."""
        parts = []
        for name in self._children:
            text = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()
            parts.append(f"--- {name}\n" + "\n".join(line[:400] for line in text[-count:]))
        return "\n".join(parts)


class Sandbox:
    """/sim/* over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url

    def wait_until_up(self, seconds: float, running: Processes) -> None:
        """Until the sandbox answers. Raises Trouble."""
        self._until(f"{self.url}/sim/state", seconds, running, "the sandbox")

    def wait_for_bot(self, app_url: str, seconds: float, running: Processes) -> None:
        """Until the bot can store. Raises Trouble."""
        self._until(f"{app_url}/readyz", seconds, running, "the bot")

    def _until(self, url: str, seconds: float, running: Processes, who: str) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            running.check()
            with contextlib.suppress(OSError, urllib.error.URLError):
                get(url)
                return
            time.sleep(0.05)
        raise Trouble(f"{who} did not come up within {seconds:g} s")

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """POST JSON. Raises Trouble with the sandbox's reason."""
        request = urllib.request.Request(
            f"{self.url}{path}",
            data=json.dumps(body).encode(),
            headers={"content-type": "application/json"},
            method="POST",
        )
        try:
            with urllib.request.urlopen(request, timeout=40) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise Trouble(f"{path}: {error.code} {error.read()[:300].decode(errors='replace')}") from error

    def phone(self) -> dict[str, str]:
        """The settings with which a bot wakes the sandbox's on-call phone."""
        port = get(f"{self.url}/sim/phone")["smtp_port"]
        return {"HOOK_URL": f"{self.url}/phone/hook", "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(port)}

    def state(self) -> dict[str, Any]:
        """Everything that is in the workspace."""
        return dict(get(f"{self.url}/sim/state"))

    def wait(self, contains: str, *, channel: str = "", seconds: float = 40) -> dict[str, Any]:
        """A message, ephemeral or DM with this text. Raises Trouble when there is none in time."""
        query = {"contains": contains, "timeout": str(seconds), "since": "0"}
        if channel:
            query["channel"] = channel
        try:
            found = get(f"{self.url}/sim/wait?{urllib.parse.urlencode(query)}", timeout=seconds + 10)
        except urllib.error.HTTPError as error:
            raise Trouble(f"nobody said {contains!r} within {seconds:g} s") from error
        return dict(found["message"])

    def command(self, user: str, channel: str, text: str) -> dict[str, Any]:
        """Type a slash command. Raises Trouble when it was not acknowledged."""
        answer = dict(self.post("/sim/command", {"user": user, "channel": channel, "text": text}))
        if answer.get("status") != 200:
            raise Trouble(f"{text} was not acknowledged: {answer}")
        return answer


def get(url: str, *, timeout: float = 30, accept: str = "application/json") -> Any:
    """GET JSON (or text)."""
    request = urllib.request.Request(url, headers={"accept": accept})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        body = answer.read()
    return json.loads(body) if accept == "application/json" else body.decode()


def confirm_form(state: Mapping[str, Any], person: str) -> str:
    """The id of the form in which this person types a plan's target; "" while none is open."""
    ids = [user["id"] for user in state["users"] if user["name"] == person]
    forms = [v for v in state["views"] if v["user"] in ids and v["callback_id"] == "plan_confirm"]
    return str(forms[-1]["id"]) if forms else ""
