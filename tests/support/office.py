"""The post office (`tests.support.post_office`) as a process, seen from outside."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.servers import NotReady, free_port

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
UP_S = 30.0


@dataclass(frozen=True, slots=True)
class Office:
    """One mail server and one hook's receiver on free loopback ports; ``more`` are options of the process."""

    more: tuple[str, ...] = ()
    smtp: int = field(default_factory=free_port)
    port: int = field(default_factory=free_port)
    process: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begin to serve; returns when it answers. Raises NotReady."""
        command = [
            sys.executable,
            "-m",
            "tests.support.post_office",
            str(self.smtp),
            str(self.port),
            *self.more,
        ]
        self.process.append(subprocess.Popen(command, cwd=ROOT))
        end = time.monotonic() + UP_S
        while True:
            try:
                self.mails()
                return
            except OSError as error:
                if time.monotonic() > end or self.process[-1].poll() is not None:
                    raise NotReady("the post office did not open") from error
                time.sleep(0.05)

    def stop(self) -> None:
        """kill -9; what it kept is lost."""
        for process in self.process:
            process.kill()
            process.wait()
        self.process.clear()

    def mails(self) -> list[Json]:
        """Every mail that it took."""
        return list(self._get("/mails"))

    def calls(self) -> list[Json]:
        """Every call of a hook."""
        return list(self._get("/calls"))

    def order(self, **orders: list[Any]) -> None:
        """What becomes of the next mails and calls."""
        body = json.dumps(orders).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.http}/control", data=body), timeout=10).close()

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self.http + path, timeout=10) as answer:
            return json.load(answer)


def request(url: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Ask a page: status and text, also of a refusal."""
    body = b"" if method == "POST" else None
    asked = urllib.request.Request(url, method=method, data=body, headers=dict(headers or {}))
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
