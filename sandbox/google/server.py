"""The gRPC server: Google's services, as far as Streamwatch uses them, on one loopback port.

The official clients talk to it unmodified. A method that is not offered answers UNIMPLEMENTED by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from sandbox.google.errors import Refused
from sandbox.google.services import (
    bigtable,
    billing,
    catalogue,
    dataflow,
    iam,
    logging,
    monitoring,
    policies,
    projects,
    pubsub,
)
from sandbox.google.services.base import Method, Service
from sandbox.google.world import World

THREADS = 32
MAX_MESSAGE_BYTES = 32 * 1024 * 1024


class GoogleServer:
    """Serves a world on `host:port` (0: a free port) between start() and stop()."""

    def __init__(self, world: World, host: str = "127.0.0.1", port: int = 0) -> None:
        self._world, self._host, self._port = world, host, port
        self._server: Any = None

    def start(self) -> int:
        """Listen; returns the port. Raises OSError when the port is taken."""
        options = [
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ]
        server = grpc.server(ThreadPoolExecutor(THREADS, "google"), options=options)
        for service in _services(self._world):
            handlers = {
                name: _handler(self._world, f"/{service.name}/{name}", method)
                for name, method in service.methods.items()
            }
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.name, handlers),))
        try:
            port = server.add_insecure_port(f"{self._host}:{self._port}")
        except RuntimeError as error:
            raise OSError(f"cannot listen on {self._host}:{self._port}") from error
        if not port:
            raise OSError(f"cannot listen on {self._host}:{self._port}")
        server.start()
        self._server, self._port = server, port
        return int(port)

    def stop(self) -> None:
        """Hang up; calls in progress end within half a second."""
        if self._server is not None:
            self._server.stop(grace=0.5).wait()
            self._server = None


def _services(world: World) -> list[Service]:
    return [
        monitoring.service(world),
        logging.service(world),
        *dataflow.services(world),
        *bigtable.services(world),
        billing.service(world),
        catalogue.service(world),
        *policies.services(world),
        *projects.services(world),
        *pubsub.services(world),
        iam.service(world),
    ]


def _handler(world: World, full_name: str, method: Method) -> Any:
    decode = getattr(method.request, "deserialize", None) or method.request.FromString
    encode = getattr(method.response, "serialize", None) or method.response.SerializeToString
    if method.stream is not None:
        call = _stream(world, full_name, method.stream)
        return grpc.stream_stream_rpc_method_handler(
            call, request_deserializer=decode, response_serializer=encode
        )
    if method.call is None:
        raise TypeError(f"{full_name} has no function")
    unary = _unary(world, full_name, method.call)
    return grpc.unary_unary_rpc_method_handler(unary, request_deserializer=decode, response_serializer=encode)


def _unary(world: World, full_name: str, call: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def handle(request: Any, context: Any) -> Any:
        try:
            _check_injected(world, full_name)
            return call(request)
        except Refused as refusal:
            _abort(context, refusal)

    return handle


def _stream(
    world: World, full_name: str, call: Callable[[Iterator[Any], Callable[[], bool]], Iterator[Any]]
) -> Callable[[Iterator[Any], Any], Iterator[Any]]:
    def handle(requests: Iterator[Any], context: Any) -> Iterator[Any]:
        try:
            _check_injected(world, full_name)
            yield from call(requests, context.is_active)
        except Refused as refusal:
            _abort(context, refusal)

    return handle


def _check_injected(world: World, full_name: str) -> None:
    with world.turn():
        world.faults.check(full_name)
        world.usage.check(full_name, world.specs[0].project)


def _details(refusal: Refused) -> bytes:
    info = ErrorInfo(reason=refusal.reason, domain="pubsub.googleapis.com", metadata=refusal.metadata)
    status = Status(code=getattr(grpc.StatusCode, refusal.code).value[0], message=refusal.message)
    status.details.add().Pack(info)
    return bytes(status.SerializeToString())


def _abort(context: Any, refusal: Refused) -> NoReturn:
    if refusal.reason:
        context.set_trailing_metadata((("grpc-status-details-bin", _details(refusal)),))
    context.abort(getattr(grpc.StatusCode, refusal.code), refusal.message)
    raise AssertionError("abort() raises")
