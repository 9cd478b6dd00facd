"""Serving: settings, the bot, uvicorn."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import replace

import structlog
import uvicorn

from bot.app import Bot
from bot.checks import documents
from bot.clock import Clock
from bot.core.errors import ConfigError
from bot.logs import set_up
from bot.probe import from_env as probe_from_env
from bot.settings import read
from bot.web.answering import Protocol


def serve(env: Mapping[str, str]) -> None:
    """Run until a signal. Raises ConfigError and StorageError's kinds before anything is served."""
    try:
        settings, warnings = read(env)
    except ConfigError as error:
        # Whoever mends the settings shall not find the mistakes of the documents one start later.
        raise ConfigError("\n".join([str(error), *documents(env)[1]])) from error
    set_up(settings.log_level)
    log = structlog.get_logger()
    for warning in warnings:
        log.warning(warning, action="settings")
    listening = _listen(settings.host, settings.port)
    settings = replace(settings, port=listening.getsockname()[1])
    bot = Bot(settings, Clock.from_env(env), probe_from_env(env))
    log.info("serving", action="serving", port=settings.port)
    config = uvicorn.Config(
        bot.intake,
        log_config=None,
        access_log=False,  # a webhook's token may stand in its query string
        http=Protocol,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=3,
        server_header=False,
        backlog=2048,
    )
    settle_garbage()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    uvicorn.Server(config).run(sockets=[listening])


def _end(*_: object) -> None:
    """uvicorn raises the signal again after its orderly end: all is drained and closed by then. A thread that still
    asks Google something would hold the exit up for minutes; whoever starts next takes its run up."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def settle_garbage() -> None:
    """Once everything is built: what start-up made stays for good, so the collector need not walk it again, nor
    look after every 700 objects. A tenth of the processor time of a storm of notifications."""
    gc.collect()  # or the garbage of reading documents would be frozen in, too
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle off only for sockets that say TCP.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"PORT {port} on {host} cannot be used ({error.strerror}); set another PORT."
        ) from error
    listening.set_inheritable(True)
    return listening
