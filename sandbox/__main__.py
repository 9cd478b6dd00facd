"""The command line: `python -m sandbox` runs it, `python -m sandbox env` prints how to reach it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import json
import logging
import signal
import socket
import sys
import threading
import urllib.request
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.clock import Clock, ClockError

if TYPE_CHECKING:
    from sandbox.google.world import World
    from sandbox.slack.hub import Hub

WRONG_USE = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit code (0 fine, 2 wrong use or a taken port)."""
    args = _parser().parse_args(argv)
    if args.action == "env":
        return _print_env(args)
    try:
        return _run(args)
    except ClockError as error:
        return _fail(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="Slack and Google Cloud on a laptop."
    )
    parser.add_argument("action", nargs="?", choices=("serve", "env"), default="serve")
    parser.add_argument("--port", type=_port, default=8400, help="HTTP port; 0 finds a free one")
    parser.add_argument(
        "--app-url",
        default="http://127.0.0.1:8080",
        help="where the app listens; several, by commas, take turns, and one that does not listen is passed over",
    )
    parser.add_argument(
        "--google-port", type=_port, help="gRPC port (default: the HTTP port + 1); 0 finds a free one"
    )
    parser.add_argument("--no-limits", action="store_true", help="switch Slack's rate limits off")
    parser.add_argument(
        "--socket-mode", action="store_true", help="give the app a token for Socket Mode, too"
    )
    return parser


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError("a port is between 0 and 65535")
    return value


def _fail(text: str) -> int:
    print(f"sandbox: {text}", file=sys.stderr)
    return WRONG_USE


def _run(args: argparse.Namespace) -> int:
    from sandbox.listening import listen

    try:
        listener = listen(args.port)
    except OSError as error:
        return _fail(f"port {args.port} cannot be used: {error.strerror or error}")
    # gRPC takes as long to import as all the rest; both can happen at the same time.
    threading.Thread(target=importlib.import_module, args=("sandbox.google.server",), daemon=True).start()
    from sandbox.google.world import World
    from sandbox.slack.hub import Hub

    with contextlib.closing(listener):
        port: int = listener.getsockname()[1]
        clock = Clock.from_env()
        try:
            world = World(clock)
        except ValueError as error:
            return _fail(str(error))
        hub = Hub(clock, app_url=args.app_url, limits=not args.no_limits)
        hub.socket_mode = args.socket_mode
        hub.workspace.base_url = f"http://127.0.0.1:{port}"
        from sandbox.google.server import GoogleServer

        wanted = _google_port(args, port)
        google = GoogleServer(world, "127.0.0.1", wanted)
        try:
            google_port = google.start()
        except (OSError, RuntimeError) as error:
            return _fail(f"port {wanted} cannot be used for Google's services: {error}")
        try:
            asyncio.run(_serve(hub, world, listener, google_port))
        finally:
            google.stop()
    return 0


def _google_port(args: argparse.Namespace, port: int) -> int:
    """The port after the HTTP port, unless another was asked for; next to a free port any free one."""
    if args.google_port is not None:
        return int(args.google_port)
    return port + 1 if args.port and port < 65535 else 0


async def _serve(hub: Hub, world: World, listener: socket.socket, google_port: int) -> None:
    from sandbox.app import create_app, make_server
    from sandbox.page import routes

    def ready() -> None:
        print(f"sandbox: {hub.base_url}", flush=True)
        app = ", ".join(hub.app_urls)
        print(f"sandbox: Google's services at 127.0.0.1:{google_port}, the app at {app}", flush=True)

    logging.getLogger("asyncio").setLevel(logging.ERROR)
    loop = asyncio.get_running_loop()
    world.on_change(lambda: _bump(loop, hub))
    app = create_app(hub, world, google_port=google_port, pages=routes)
    server = make_server(app, hub, ready)
    # uvicorn raises the signal again after its own orderly end; it has been obeyed by then.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    await server.serve(sockets=[listener])


def _bump(loop: asyncio.AbstractEventLoop, hub: Hub) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended: nobody looks any more
        loop.call_soon_threadsafe(hub.changes.bump)


def _print_env(args: argparse.Namespace) -> int:
    """Ask the sandbox that runs; say what its defaults would be when none does."""
    from sandbox.slack.environment import environment

    base_url = f"http://127.0.0.1:{args.port}"
    values = environment(base_url, args.port + 1, args.app_url.split(",")[0], socket_mode=args.socket_mode)
    query = "?socket_mode=1" if args.socket_mode else ""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{base_url}/sim/env{query}", timeout=2) as answer:
            values = json.load(answer)
    except (OSError, ValueError):
        print(f"sandbox: none answers at {base_url}; these are the defaults", file=sys.stderr)
    for name, value in values.items():
        print(f"{name}={value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
