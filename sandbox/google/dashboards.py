"""Monitoring's dashboards: JSON documents under names, checked as far as a mistake would show nothing."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from random import Random
from typing import Any

from sandbox.google.errors import Refused, invalid, not_found
from sandbox.google.filters import parse

Json = dict[str, Any]
LAYOUTS = ("gridLayout", "mosaicLayout", "rowLayout", "columnLayout")
COLUMNS = (12, 48)
_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9-]{0,63}")


class Dashboards:
    """Dashboards by full name, in the order of their creation. Not thread-safe."""

    def __init__(self) -> None:
        self._kept: dict[str, Json] = {}
        self._random = Random("dashboards")

    def of(self, project: str) -> list[Json]:
        """All of a project."""
        return [one for name, one in self._kept.items() if name.startswith(f"projects/{project}/")]

    def get(self, name: str) -> Json:
        """Raises Refused NOT_FOUND."""
        if name not in self._kept:
            raise not_found(name)
        return self._kept[name]

    def create(self, project: str, body: Json, *, only_check: bool = False) -> Json:
        """A new one; its name may say the id. Raises Refused: INVALID_ARGUMENT, ALREADY_EXISTS."""
        check(body)
        wanted = str(body.get("name") or "")
        name = f"projects/{project}/dashboards/{wanted.rsplit('/', 1)[-1] or self._digits(32)}"
        if not _ID.fullmatch(name.rsplit("/", 1)[-1]):
            raise invalid(f"Field dashboard.name had an invalid value: {wanted!r}.")
        if name in self._kept:
            raise Refused("ALREADY_EXISTS", f"Dashboard {name} already exists.")
        return self._put(name, body, only_check=only_check)

    def replace(self, name: str, body: Json, *, only_check: bool = False) -> Json:
        """Another content for one that is there; an etag that is not the newest is refused as ABORTED."""
        old = self.get(name)
        if body.get("etag") not in (None, "", old["etag"]):
            raise Refused("ABORTED", f"The etag of dashboard {name} is not the current one: read it again.")
        check(body)
        return self._put(name, body, only_check=only_check)

    def delete(self, name: str) -> None:
        """Raises Refused NOT_FOUND."""
        self.get(name)
        del self._kept[name]

    def _put(self, name: str, body: Json, *, only_check: bool) -> Json:
        made = {**copy.deepcopy(body), "name": name, "etag": self._digits(16)}
        if not only_check:
            self._kept[name] = made
        return made

    def _digits(self, count: int) -> str:
        return f"{self._random.getrandbits(count * 4):0{count}x}"


def check(body: Json) -> None:
    """Raises Refused INVALID_ARGUMENT: no name to show, no layout, a tile outside, a filter that is none."""
    if not body.get("displayName"):
        raise invalid("Field dashboard.displayName is required.")
    layouts = [name for name in LAYOUTS if name in body]
    if len(layouts) != 1:
        raise invalid(
            f"A dashboard has exactly one layout of {', '.join(LAYOUTS)}; this one has {len(layouts)}."
        )
    if layouts == ["mosaicLayout"]:
        _check_mosaic(body["mosaicLayout"])
    for text in _filters(body):
        parse(text)


def _check_mosaic(layout: Json) -> None:
    columns = layout.get("columns")
    if columns not in COLUMNS:
        raise invalid(f"Field mosaicLayout.columns must be one of {COLUMNS}.")
    for index, tile in enumerate(layout.get("tiles") or []):
        left, width, height = (tile.get(key) or 0 for key in ("xPos", "width", "height"))
        if width < 1 or height < 1 or left + width > columns:
            raise invalid(f"Field mosaicLayout.tiles[{index}] does not fit into {columns} columns.")
        if not isinstance(tile.get("widget"), dict):
            raise invalid(f"Field mosaicLayout.tiles[{index}].widget is required.")


def _filters(value: Any) -> Iterator[str]:
    """Every time series filter, wherever it stands."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "timeSeriesFilter" and isinstance(inner, dict):
                if "metric.type" not in str(inner.get("filter")):
                    raise invalid("Field timeSeriesFilter.filter must restrict metric.type.")
                yield str(inner["filter"])
            yield from _filters(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _filters(inner)
