"""BigQuery's fields: their DuckDB types, JSON values on their way in, and answers on their way out.

On the way in every scalar becomes text that DuckDB casts, so that money, dates and bytes stay exact.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from sandbox.google.errors import invalid
from sandbox.google.timeline import instant, seconds

Json = dict[str, Any]

NAMES = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "STRUCT": "RECORD", "DECIMAL": "NUMERIC"}
COLUMN_TYPES = {
    "STRING": "VARCHAR",
    "BYTES": "BLOB",
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "NUMERIC": "DECIMAL(38,9)",
    "BIGNUMERIC": "DECIMAL(38,18)",
    "BOOLEAN": "BOOLEAN",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
    "DATE": "DATE",
    "TIME": "TIME",
    "DATETIME": "TIMESTAMP",
    "JSON": "JSON",
}
_FROM_DUCKDB = {
    "BIGINT": "INTEGER",
    "HUGEINT": "INTEGER",
    "INTEGER": "INTEGER",
    "SMALLINT": "INTEGER",
    "TINYINT": "INTEGER",
    "UBIGINT": "INTEGER",
    "UINTEGER": "INTEGER",
    "DOUBLE": "FLOAT",
    "FLOAT": "FLOAT",
    "BOOLEAN": "BOOLEAN",
    "BLOB": "BYTES",
    "DATE": "DATE",
    "TIME": "TIME",
    "TIMESTAMP": "DATETIME",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
    "JSON": "JSON",
}
MODES = ("NULLABLE", "REQUIRED", "REPEATED")
_ZERO = datetime(1970, 1, 1, tzinfo=UTC)


class BadValue(Exception):
    """A value that its field does not take: where it stands, and why."""

    def __init__(self, location: str, message: str) -> None:
        super().__init__(message)
        self.location, self.message = location, message


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One column, or one member of a record. `type` is BigQuery's older name (INTEGER, FLOAT, RECORD)."""

    name: str
    type: str
    mode: str = "NULLABLE"
    fields: tuple[Field, ...] = ()
    description: str = ""

    @property
    def column(self) -> str:
        """The DuckDB type."""
        one = _struct(self.fields) if self.type == "RECORD" else COLUMN_TYPES[self.type]
        return f"{one}[]" if self.mode == "REPEATED" else one

    def as_json(self) -> Json:
        """The form of a table's schema."""
        out: Json = {"name": self.name, "type": self.type, "mode": self.mode}
        if self.fields:
            out["fields"] = [field.as_json() for field in self.fields]
        return out | ({"description": self.description} if self.description else {})


def quoted(name: str) -> str:
    """A DuckDB identifier."""
    return '"' + name.replace('"', '""') + '"'


def row_type(fields: Sequence[Field]) -> str:
    """The DuckDB type of a whole row."""
    return _struct(fields)


def _struct(fields: Sequence[Field]) -> str:
    return "STRUCT(" + ", ".join(f"{quoted(field.name)} {field.column}" for field in fields) + ")"


def text_shape(fields: Sequence[Field]) -> str:
    """The shape that from_json() takes for a list of rows of `in_text`: every scalar a VARCHAR."""
    return json.dumps([_shape(fields)])


def _shape(fields: Sequence[Field]) -> Json:
    out: Json = {}
    for field in fields:
        one: Any = _shape(field.fields) if field.type == "RECORD" else "VARCHAR"
        out[field.name] = [one] if field.mode == "REPEATED" else one
    return out


def parse_fields(items: Any, where: str = "schema") -> tuple[Field, ...]:
    """The fields of a schema as JSON. Raises Refused INVALID_ARGUMENT for one that cannot be."""
    if not isinstance(items, list):
        raise invalid(f"Invalid {where}: fields must be a list.")
    out = tuple(_field(item, where) for item in items)
    names = [field.name.lower() for field in out]
    if len(set(names)) < len(names):
        raise invalid(f"Invalid {where}: a field name appears twice.")
    return out


def _field(item: Any, where: str) -> Field:
    if not isinstance(item, dict) or not item.get("name"):
        raise invalid(f"Invalid {where}: every field has a name.")
    name, wanted = str(item["name"]), str(item.get("type") or "").upper()
    kind = NAMES.get(wanted, wanted)
    mode = str(item.get("mode") or "NULLABLE").upper()
    if kind != "RECORD" and kind not in COLUMN_TYPES:
        raise invalid(
            f"Invalid {where}: field {name} has the type {wanted or 'missing'}, which is not offered."
        )
    if mode not in MODES:
        raise invalid(f"Invalid {where}: field {name} has the mode {mode}.")
    inner = parse_fields(item.get("fields") or [], f"{where}.{name}") if kind == "RECORD" else ()
    if kind == "RECORD" and not inner:
        raise invalid(f"Field {name} is type RECORD but has no schema")
    return Field(
        name=name, type=kind, mode=mode, fields=inner, description=str(item.get("description") or "")
    )


def in_text(fields: Sequence[Field], row: Any, *, ignore_unknown: bool = False, where: str = "") -> Json:
    """A row's values as the texts that DuckDB casts. Raises BadValue for the first that does not fit."""
    if not isinstance(row, dict):
        raise BadValue(where, "This field: is not a record." if where else "A row is not a JSON object.")
    known = {field.name.lower(): field for field in fields}
    given: Json = {}
    for name, value in row.items():
        field = known.get(str(name).lower())
        if field is None:
            if ignore_unknown:
                continue
            raise BadValue(_at(where, str(name)), f"no such field: {_at(where, str(name))}.")
        given[field.name] = value
    return {f.name: _value(f, given.get(f.name), _at(where, f.name), ignore_unknown) for f in fields}


def _at(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _value(field: Field, value: Any, where: str, ignore_unknown: bool) -> Any:
    if field.mode == "REPEATED":
        if value is None:
            return []
        items = value if isinstance(value, list) else [value]
        if any(item is None for item in items):
            raise BadValue(where, "Only optional fields can be set to NULL.")
        return [_one(field, item, where, ignore_unknown) for item in items]
    if value is None:
        if field.mode == "REQUIRED":
            raise BadValue(where, f"Missing required field: {where}.")
        return None
    if isinstance(value, list):
        raise BadValue(where, "Array specified for non-repeated field: " + where + ".")
    return _one(field, value, where, ignore_unknown)


def _one(field: Field, value: Any, where: str, ignore_unknown: bool) -> Any:
    if field.type == "RECORD":
        return in_text(field.fields, value, ignore_unknown=ignore_unknown, where=where)
    if field.type == "JSON":
        return value if isinstance(value, str) else json.dumps(value)
    if isinstance(value, dict):
        raise BadValue(where, "This field: " + where + " is not a record.")
    try:
        return _CHECKS[field.type](value)
    except (ValueError, TypeError, InvalidOperation, OverflowError, binascii.Error):
        kind = field.type.lower()
        raise BadValue(where, f"Cannot convert value to {kind} (bad value): {str(value)[:80]}") from None


def _string(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _integer(value: Any) -> str:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError(value)
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError(value)
    return str(number)


def _float(value: Any) -> str:
    if isinstance(value, bool):
        raise ValueError(value)
    number = float(value)
    return repr(number) if math.isfinite(number) else str(number)


def _numeric(value: Any) -> str:
    if isinstance(value, bool):
        raise ValueError(value)
    number = Decimal(str(value))
    if not number.is_finite():
        raise ValueError(value)
    return format(number, "f")


def _boolean(value: Any) -> str:
    word = str(value).lower()
    if word not in ("true", "false", "1", "0"):
        raise ValueError(value)
    return "true" if word in ("true", "1") else "false"


def _timestamp(value: Any) -> str:
    if isinstance(value, bool):
        raise ValueError(value)
    try:
        moment = instant(float(value))
    except ValueError:
        text = str(value).strip()
        for ending in ("UTC", "Z", "z"):
            text = text.removesuffix(ending).strip()
        found = datetime.fromisoformat(text)
        # A text without a zone is UTC, as in BigQuery.
        moment = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    return moment.isoformat(sep=" ")


def _bytes(value: Any) -> str:
    # DuckDB reads \xAA as a byte when it casts text to BLOB.
    return "".join(f"\\x{byte:02X}" for byte in base64.b64decode(str(value), validate=True))


_CHECKS: dict[str, Callable[[Any], str]] = {
    "STRING": _string,
    "BYTES": _bytes,
    "INTEGER": _integer,
    "FLOAT": _float,
    "NUMERIC": _numeric,
    "BIGNUMERIC": _numeric,
    "BOOLEAN": _boolean,
    "TIMESTAMP": _timestamp,
    "DATE": lambda value: date.fromisoformat(str(value)).isoformat(),
    "TIME": lambda value: time.fromisoformat(str(value)).isoformat(),
    "DATETIME": lambda value: datetime.fromisoformat(str(value)).replace(tzinfo=None).isoformat(sep=" "),
}


def described(description: Iterable[Sequence[Any]]) -> tuple[Field, ...]:
    """The fields of a DuckDB result, from its cursor's description."""
    return tuple(_described(str(name), kind) for name, kind, *_ in description)


def _described(name: str, kind: Any) -> Field:
    if kind.id == "list":
        inner = _described(name, kind.children[0][1])
        return Field(name=name, type=inner.type, mode="REPEATED", fields=inner.fields)
    if kind.id == "struct":
        fields = tuple(_described(str(key), child) for key, child in kind.children)
        return Field(name=name, type="RECORD", fields=fields)
    text = str(kind)
    known = "NUMERIC" if text.startswith("DECIMAL") else _FROM_DUCKDB.get(text, "STRING")
    return Field(name=name, type=known)


def encode_row(fields: Sequence[Field], row: Iterable[Any], stamps: str = "FLOAT64") -> Json:
    """A row as BigQuery answers it; `stamps` is the wanted form: INT64, FLOAT64 or ISO8601_STRING."""
    return {"f": [{"v": _encode(field, value, stamps)} for field, value in zip(fields, row, strict=True)]}


def _encode(field: Field, value: Any, stamps: str) -> Any:
    if field.mode == "REPEATED":
        return [{"v": _encode_one(field, item, stamps)} for item in value or ()]
    return None if value is None else _encode_one(field, value, stamps)


def _encode_one(field: Field, value: Any, stamps: str) -> Any:
    if value is None:
        return None
    if field.type == "RECORD":
        values = value if isinstance(value, Mapping) else {}
        return encode_row(field.fields, [values.get(inner.name) for inner in field.fields], stamps)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return _stamp(value, stamps) if field.type == "TIMESTAMP" else value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Decimal):
        return _shortest(value)
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)


def _stamp(value: datetime, stamps: str) -> str:
    moment = value.astimezone(UTC)
    if stamps == "ISO8601_STRING":
        return moment.isoformat().replace("+00:00", "Z")
    if stamps == "INT64":
        return str((moment - _ZERO) // timedelta(microseconds=1))
    return repr(seconds(moment))


def _shortest(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
