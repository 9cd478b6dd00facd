"""``python -m tests.bench.deployed HIDDEN``: the bot as requirements.lock alone would have it.

Google's client of BigQuery loads pyarrow and numpy where it finds them (40 MB), and Apache Beam brings them: beside
the tests they are installed, beside a deployed bot they are not. The packages that HIDDEN lists, one a line, are
not found.
"""

from __future__ import annotations

import importlib.abc
import importlib.metadata
import re
import runpy
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path, PurePosixPath
from types import ModuleType

from tests.bench.house import ROOT


def beyond_the_base() -> list[str]:
    """The topmost packages here that no distribution of requirements.lock brings."""
    locked = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    base: set[str] = set()
    others: set[str] = set()
    for found in importlib.metadata.distributions():
        known = re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower() in locked
        for file in found.files or ():
            (base if known else others).update(_modules(file))
    extra = others - base
    return sorted(name for name in extra if name.rpartition(".")[0] not in extra)


def _modules(file: PurePosixPath) -> list[str]:
    """A file's module and the packages around it; none for what is no module."""
    parts = [*file.parts[:-1], file.name.split(".")[0]]
    if file.suffix not in {".py", ".so"} or not all(part.isidentifier() for part in parts):
        return []
    return [".".join(parts[: length + 1]) for length in range(len(parts))]


class _Hiding(importlib.abc.MetaPathFinder):
    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in self._names:
            raise ModuleNotFoundError(f"{fullname} is not in requirements.lock", name=fullname)
        return None


if __name__ == "__main__":
    sys.meta_path.insert(0, _Hiding(frozenset(Path(sys.argv[1]).read_text().split())))
    sys.argv = ["bot", "serve"]
    runpy.run_module("bot", run_name="__main__")
