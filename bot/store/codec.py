"""Between the core's frozen dataclasses and the JSON text in the tables.

Decoding ignores fields that a newer version wrote and fills in defaults for those that an older
one did not know, so that two versions can serve one database during a roll-out.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
# msgspec keeps what it learns of a dataclass on the class before it has learnt all of it: a second thread that makes
# a decoder in that moment gets the half and kills the process (segmentation fault).
_making = threading.Lock()
_LARGEST = 2**63


def storable(text: str) -> str:
    """Text that both databases take: NUL and lone surrogates become U+FFFD."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")


def dumps(value: Any) -> str:
    """JSON text of a dataclass or of JSON values; what JSON cannot say is made sayable, never refused.

    Instants are RFC 3339 in UTC, durations ISO 8601. Raises TypeError for objects that are no data.
    """
    try:
        return _encoder.encode(value).decode()
    except (UnicodeEncodeError, OverflowError):
        return _encoder.encode(_sayable(msgspec.to_builtins(value, str_keys=True))).decode()


def loads(text: str, kind: type[T]) -> T:
    """The value of ``kind`` that ``dumps`` wrote; raises msgspec.ValidationError if it is none."""
    decoder = _decoders.get(kind)
    if decoder is None:
        with _making:
            decoder = _decoders.setdefault(kind, msgspec.json.Decoder(kind))
    value: T = decoder.decode(text)
    return value


def loads_any(text: str) -> Any:
    """Plain JSON values."""
    return msgspec.json.decode(text)


def loads_map(text: str) -> Mapping[str, Any]:
    """A JSON object."""
    return loads(text, dict[str, Any])


def _sayable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, int) and abs(value) >= _LARGEST:
        return str(value)
    if isinstance(value, Mapping):
        return {storable(str(key)): _sayable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_sayable(item) for item in value]
    return value
