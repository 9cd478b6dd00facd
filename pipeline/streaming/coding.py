"""How messages cross a shuffle: msgpack, small and exact."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from apache_beam import coders

from pipeline.streaming.messages import Letter, Message, Row

_encode: Final = msgspec.msgpack.Encoder().encode


class _StructCoder(coders.Coder):  # type: ignore[misc]
    """A msgspec struct as msgpack; for values only, never for keys (attributes have no order)."""

    struct: type[msgspec.Struct]

    def __init__(self) -> None:
        self._decode = msgspec.msgpack.Decoder(self.struct).decode

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()

    def encode(self, value: Any) -> bytes:
        return _encode(value)

    def decode(self, encoded: bytes) -> Any:
        return self._decode(encoded)

    def is_deterministic(self) -> bool:
        return False

    def to_type_hint(self) -> Any:
        return self.struct

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


class MessageCoder(_StructCoder):
    struct = Message


class LetterCoder(_StructCoder):
    struct = Letter


class RowCoder(_StructCoder):
    struct = Row


def register() -> None:
    """Tells Beam; called wherever a pipeline is built, harmless when repeated."""
    for coder in (MessageCoder, LetterCoder, RowCoder):
        coders.registry.register_coder(coder.struct, coder)
