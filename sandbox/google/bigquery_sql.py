"""Queries in BigQuery's dialect, made into DuckDB's by sqlglot. That one runs here proves little of BigQuery.

sqlglot and DuckDB are tools of the developer: they are imported when the first query comes, not before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.google.bigquery_types import NAMES, BadValue, Field, in_text
from sandbox.google.errors import Refused, invalid
from sandbox.google.timeline import instant

Json = dict[str, Any]
PSEUDO = "_PARTITIONTIME"
WRITES = {"Insert": "INSERT", "Update": "UPDATE", "Delete": "DELETE", "Merge": "MERGE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A table as a query names it, resolved: the DuckDB relation, and what reading all of it costs."""

    relation: str
    hidden_partition: bool
    bytes: int


# (project or "", dataset or "", table) -> the table; raises Refused NOT_FOUND.
Resolve = Callable[[str, str, str], Named]


@dataclass(frozen=True, slots=True, kw_only=True)
class Translated:
    """A query for DuckDB. `kind` is BigQuery's statement type; `bytes` what its tables hold."""

    sql: str
    values: Mapping[str, Any]
    kind: str
    bytes: int


def engine() -> Any:
    """The module duckdb, imported when the first row or query needs it."""
    import duckdb

    return duckdb


def translate(text: str, parameters: Sequence[Mapping[str, Any]], resolve: Resolve, now: float) -> Translated:
    """One statement made DuckDB's; `now` (epoch seconds) is what CURRENT_TIMESTAMP means.

    Raises Refused INVALID_ARGUMENT for what is no query, NOT_FOUND for a table that is none.
    """
    import sqlglot
    from sqlglot import exp

    tree = _parsed(_numbered(text))
    kind = WRITES.get(type(tree).__name__, "SELECT" if isinstance(tree, exp.Query) else "")
    if not kind:
        raise Refused(
            "UNIMPLEMENTED",
            f"The sandbox plays queries, INSERT, UPDATE, DELETE and MERGE: not {tree.key.upper()}.",
        )
    read = _tables(tree, resolve)
    _clock(tree, instant(now))
    _zones(tree)
    _results(tree)
    values = _bind(tree, parameters)
    try:
        sql = tree.sql(dialect="duckdb")
    except sqlglot.errors.SqlglotError as error:
        raise invalid(f"Cannot translate the query: {error}") from error
    return Translated(sql=sql, values=values, kind=kind, bytes=read)


def _parsed(text: str) -> Any:
    import sqlglot

    try:
        found = [tree for tree in sqlglot.parse(text, read="bigquery") if tree is not None]
    except sqlglot.errors.SqlglotError as error:
        first = str(error).splitlines()[0] if str(error) else "unreadable"
        raise invalid(f"Syntax error: {first}") from error
    if len(found) != 1:
        raise invalid("The query must be one statement." if found else "Syntax error: the query is empty.")
    return found[0]


def _numbered(text: str) -> str:
    """Positional parameters as named ones, in the order in which they stand in the text."""
    import sqlglot
    from sqlglot.tokens import TokenType

    try:
        tokens = sqlglot.tokenize(text, read="bigquery")
    except sqlglot.errors.SqlglotError as error:
        raise invalid(f"Syntax error: {error}") from error
    marks = [token.start for token in tokens if token.token_type == TokenType.PLACEHOLDER]
    for number, start in reversed(list(enumerate(marks, 1))):
        text = f"{text[:start]}@_p{number}{text[start + 1 :]}"
    return text


def _tables(tree: Any, resolve: Resolve) -> int:
    from sqlglot import exp

    own = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
    asks_partition = any(column.name.upper() == PSEUDO for column in tree.find_all(exp.Column))
    read = 0
    for table in list(tree.find_all(exp.Table)):
        if not table.name or (not table.args.get("db") and table.name.lower() in own):
            continue
        found = resolve(table.catalog, table.db, table.name)
        read += found.bytes
        relation = found.relation
        holder = table.parent.parent if isinstance(table.parent, exp.Schema) else table.parent
        written = holder is tree and not isinstance(tree, exp.Query) and tree.this.find(exp.Table) is table
        if found.hidden_partition and not asks_partition and not written:
            relation = f"(SELECT * EXCLUDE ({PSEUDO}) FROM {relation})"
        _put(table, relation, table.alias or ("" if written else table.name.rsplit(".", 1)[-1]))
    return read


def _put(table: Any, relation: str, alias: str) -> None:
    from sqlglot import exp

    made = exp.maybe_parse(
        relation, into=exp.Table if not relation.startswith("(") else None, dialect="duckdb"
    )
    if isinstance(made, exp.Table) and alias:
        made.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
    elif alias:
        made = exp.alias_(made, alias, table=True)
    for key in ("joins", "laterals", "pivots"):
        if table.args.get(key):
            made.set(key, table.args[key])
    table.replace(made)


def _clock(tree: Any, now: datetime) -> None:
    """The query's own clock is the world's."""
    from sqlglot import exp

    kinds: dict[Any, tuple[str, Callable[[datetime], str]]] = {
        exp.CurrentTimestamp: ("TIMESTAMPTZ", lambda at: at.isoformat(sep=" ")),
        exp.CurrentDate: ("DATE", lambda at: at.date().isoformat()),
        exp.CurrentDatetime: ("TIMESTAMP", lambda at: at.replace(tzinfo=None).isoformat(sep=" ")),
        exp.CurrentTime: ("TIME", lambda at: at.time().isoformat()),
    }
    for kind, (name, form) in kinds.items():
        for node in list(tree.find_all(kind)):
            zone = node.args.get("this") if kind is not exp.CurrentTimestamp else None
            text = form(now.astimezone(_zone(zone.name) if zone is not None else UTC))
            node.replace(
                exp.Cast(this=exp.Literal.string(text), to=exp.DataType.build(name, dialect="duckdb"))
            )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise invalid(f"Invalid time zone: {name}") from error


def _results(tree: Any) -> None:
    """A date stays a date and a timestamp keeps its zone: DuckDB's functions make something else of them."""
    from sqlglot import exp

    kinds = {exp.DateAdd: "DATE", exp.DateSub: "DATE", exp.DateTrunc: "DATE", exp.StrToTime: "TIMESTAMPTZ"}
    # The innermost first: what is put around a node must not be put around its copy again.
    for node in reversed(list(tree.find_all(*kinds))):
        wanted = exp.DataType.build(kinds[type(node)], dialect="duckdb")
        node.replace(exp.Cast(this=node.copy(), to=wanted))


def _zones(tree: Any) -> None:
    """Two spellings whose zone sqlglot drops or DuckDB does not know."""
    from sqlglot import exp

    for node in list(tree.find_all(exp.TimeToStr)):
        if node.args.get("zone") is not None:
            inner = node.this.this if isinstance(node.this, exp.TsOrDsToTimestamp) else node.this
            stamp = exp.Cast(this=inner.copy(), to=exp.DataType.build("TIMESTAMPTZ", dialect="duckdb"))
            node.set("this", exp.AtTimeZone(this=stamp, zone=node.args["zone"].copy()))
            node.set("zone", None)
    for node in list(tree.find_all(exp.Extract)):
        if node.name.upper() == "DATE":
            date_of = exp.Cast(this=node.expression.copy(), to=exp.DataType.build("DATE"))
            node.replace(date_of)


def _bind(tree: Any, parameters: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Puts a typed placeholder for every parameter; the values that are used, by name."""
    from sqlglot import exp

    given = {str(one.get("name") or f"_p{at}").lower(): one for at, one in enumerate(parameters, 1)}
    used: dict[str, Any] = {}
    for node in list(tree.find_all(exp.Parameter)):
        name = node.name.lower()
        if name not in given:
            raise invalid(
                f"Query parameter '{node.name}' not found"
                if not name.startswith("_p")
                else "Query parameter not found: more positional parameters are used than given"
            )
        field, value = _parameter(name, given[name])
        used[name] = value
        to = exp.DataType.build(field.column, dialect="duckdb")
        node.replace(exp.Cast(this=exp.Placeholder(this=name), to=to))
    return used


def _parameter(name: str, given: Mapping[str, Any]) -> tuple[Field, Any]:
    kind, value = given.get("parameterType") or {}, given.get("parameterValue") or {}
    field = _parameter_field(name, kind)
    plain = _parameter_value(field, value)
    try:
        return field, None if plain is None else in_text((field,), {name: plain})[name]
    except BadValue as error:
        raise invalid(f"Invalid value for query parameter '{name}': {error.message}") from error


def _parameter_field(name: str, kind: Mapping[str, Any]) -> Field:
    wanted = str(kind.get("type") or "").upper()
    if wanted == "ARRAY":
        inner = _parameter_field(name, kind.get("arrayType") or {})
        return Field(name=name, type=inner.type, mode="REPEATED", fields=inner.fields)
    if wanted == "STRUCT":
        members = kind.get("structTypes") or []
        fields = tuple(_parameter_field(str(m.get("name") or ""), m.get("type") or {}) for m in members)
        return Field(name=name, type="RECORD", fields=fields)
    field = Field(name=name, type=NAMES.get(wanted, wanted))
    try:
        _ = field.column
    except KeyError:
        raise invalid(f"Query parameter '{name}' has the unknown type '{wanted}'.") from None
    return field


def _parameter_value(field: Field, value: Mapping[str, Any]) -> Any:
    if field.mode == "REPEATED":
        inner = Field(name=field.name, type=field.type, fields=field.fields)
        return [_parameter_value(inner, item) for item in value.get("arrayValues") or []]
    if field.type == "RECORD":
        members = value.get("structValues") or {}
        return {f.name: _parameter_value(f, members.get(f.name) or {}) for f in field.fields}
    return value.get("value")
