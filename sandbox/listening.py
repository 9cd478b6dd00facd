"""The listening socket, opened before anything else so that a taken port is known at once."""

from __future__ import annotations

import socket


def listen(port: int) -> socket.socket:
    """A listening socket on the loopback address; port 0 finds a free one. Raises OSError when it is taken."""
    # The protocol is named, because asyncio switches Nagle's delay off only for sockets that say TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener
