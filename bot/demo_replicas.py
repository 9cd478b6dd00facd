"""The bots of the demo, and what befalls them: they are killed, and whatever was killed is started again.

It makes no difference who kills: the demo itself (``--replicas``), or a person with ``kill -9`` in another
terminal. The database comes first, since a bot without one cannot start.
"""

from __future__ import annotations

import threading
import time
import urllib.error
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bot.demo_kept import Kept
from bot.demo_postgres import NotStarted, Postgres
from bot.demo_world import Processes, Trouble, get

READY_S = 60.0
FALLS = 6  # as often in a row a bot may end before it was ready


class Apps:
    """The bots' pages behind one hand: the first that answers is asked."""

    def __init__(self, urls: Sequence[str], patience_s: float) -> None:
        self.urls = tuple(urls)
        self._patience = patience_s

    def get(self, path: str, *, accept: str = "application/json") -> Any:
        """GET from whichever bot is up. Raises Trouble when none is for long."""
        end = time.monotonic() + self._patience
        while True:
            for url in self.urls:
                try:
                    return get(f"{url}{path}", accept=accept)
                except urllib.error.HTTPError as error:
                    if error.code < 500:
                        raise
                except OSError:
                    continue
            if time.monotonic() > end:
                raise Trouble(f"no bot answers at {path}")
            time.sleep(0.1)

    def ready(self, url: str) -> bool:
        """Whether this one can store."""
        try:
            get(f"{url}/readyz")
        except OSError:
            return False
        return True


class Replicas:
    """Starts the bots, keeps them alive, and kills them on request. A thread of its own; ended by ``close``."""

    def __init__(
        self,
        running: Processes,
        envs: Sequence[Mapping[str, str]],
        apps: Apps,
        *,
        postgres: Postgres | None,
        say: Callable[[str], None],
        kept: Kept | None = None,
    ) -> None:
        self._running = running
        self._envs = dict(zip(_names(len(envs)), envs, strict=True))
        self._urls = dict(zip(self._envs, apps.urls, strict=True))
        self._apps = apps
        self._postgres = postgres
        self._say = say
        self._over = threading.Event()
        self._hand = threading.Lock()  # a kill and the start after it are not interleaved
        self._falls: dict[str, int] = dict.fromkeys(self._envs, 0)
        self._killed: set[str] = set()  # by us, and not yet started again
        self._thread = threading.Thread(target=self._keep, name="replicas", daemon=True)
        self._reaper: threading.Thread | None = None
        self._kept = kept
        self.trouble = ""
        self.told: list[str] = list(kept.told) if kept is not None else []

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._envs)

    def start(self) -> None:
        """Start all of them and wait until each can store. Raises Trouble."""
        for name in self._envs:
            self._start(name)
        end = time.monotonic() + READY_S
        while not all(self._apps.ready(url) for url in self._urls.values()):
            if time.monotonic() > end:
                raise Trouble(f"the bot did not come up within {READY_S:g} s")
            for name in self._envs:
                code = self._running.code(name)
                if code is not None:
                    raise Trouble(f"the {name} ended with code {code}")
            time.sleep(0.05)
        self._thread.start()

    def close(self) -> None:
        """No more starts and no more kills."""
        self._over.set()
        for thread in (self._reaper, self._thread):
            if thread is not None and thread.is_alive():
                thread.join(READY_S)

    def reap(self, every_s: float) -> None:
        """From now on kill one after the other, and after each round everything at once with its database."""
        self._reaper = threading.Thread(target=self._reap, args=(every_s,), name="reaper", daemon=True)
        self._reaper.start()

    def _reap(self, every_s: float) -> None:
        turn = 0
        while not self._over.wait(every_s):
            names = list(self._envs)
            victim = turn % (len(names) + 1)
            turn += 1
            self.kill(names if victim == len(names) else [names[victim]], database=victim == len(names))

    def kill(self, names: Sequence[str], *, database: bool) -> None:
        """kill -9, and wait until all of it stands again; the lines about it are kept for the transcript."""
        began = time.monotonic()
        with self._hand:
            self._killed |= {*names, *(["PostgreSQL"] if database else [])}
            for name in names:
                self._running.kill(name)
            if database and self._postgres is not None:
                self._postgres.kill()
        what = "every bot and PostgreSQL" if database else ", ".join(names)
        while not all(self._apps.ready(self._urls[name]) for name in names):
            if self._over.wait(0.1) or time.monotonic() - began > READY_S:
                return
        self.tell(f"kill -9 of {what}; back after {time.monotonic() - began:.1f} s")

    def tell(self, text: str) -> None:
        """A line about what befell them, for now and for the transcript."""
        self.told.append(text)
        if self._kept is not None:
            self._kept.tell(text)
        self._say(f"  ({text})")

    def _keep(self) -> None:
        while not self._over.wait(0.2):
            try:
                with self._hand:
                    self._mend()
            except NotStarted as error:
                self.trouble = f"PostgreSQL did not start again: {error}"
                return

    def _mend(self) -> None:
        if self._postgres is not None and not self._postgres.running:
            self._postgres.start()
            self._noticed("PostgreSQL")
        for name, url in self._urls.items():
            code = self._running.code(name)
            if code is None:
                if self._falls[name] and self._apps.ready(url):
                    self._falls[name] = 0
                continue
            self._falls[name] += 1
            if self._falls[name] > FALLS:
                self.trouble = f"the {name} ended with code {code}, again and again"
                return
            self._start(name)
            self._noticed(name)

    def _noticed(self, name: str) -> None:
        if name not in self._killed:
            self.tell(f"{name} was ended by somebody and is started again")
        self._killed.discard(name)

    def _start(self, name: str) -> None:
        self._running.start(name, ["bot", "serve"], self._envs[name], kept=True)


def _names(count: int) -> list[str]:
    return ["bot"] if count == 1 else [f"bot {number}" for number in range(1, count + 1)]
