"""YAML as a tree of texts with the line of each, so that every mistake can name its line.

Values stay as they were written (`+1-555-0100` is text, not a sum): what one means is the reader's business.
Lines are counted by `\\n` alone: YAML takes U+0085, U+2028 and U+2029 for line ends too, editors do not.
"""

from __future__ import annotations

from dataclasses import dataclass

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as YamlNode
from ruamel.yaml.reader import ReaderError

from bot.documents.mistakes import Notes, shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """A single value as written; `tag` is what YAML takes it for: `str`, `int`, `float`, `bool`, `null`."""

    text: str
    tag: str
    line: int


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple[Tree, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Entries:
    """A mapping; keys are texts, each once."""

    entries: tuple[tuple[Scalar, Tree], ...]
    line: int


Tree = Scalar | Items | Entries

_REMEDIES = (
    ("mapping values are not allowed", "Put text that holds a colon in quotes, or check the indentation."),
    ("cannot start any token", "Indent with spaces, and put text that begins with a special sign in quotes."),
    ("special characters are not allowed", "Remove the control character."),
    ("single document", "Keep one document in a file: remove the line ---."),
    ("undefined alias", "Put text that begins with * in quotes."),
)


def read_tree(text: str, notes: Notes, first_line: int = 1) -> Tree | None:
    """The tree of a YAML text whose first line is `first_line` of the file.

    None when it is empty (nothing is noted then) or cannot be read (noted).
    """
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except RecursionError:
        notes.add(first_line, "the values are nested too deeply", "Remove the inner brackets.")
        return None
    except YAMLError as error:
        _note(error, text, notes, first_line)
        return None
    except (
        ValueError,
        OverflowError,
        AttributeError,
        TypeError,
        IndexError,
        KeyError,
        AssertionError,
    ) as error:
        # Hostile directives and tags make the parser stumble; for the team that is one more mistake.
        notes.add(first_line, f"this is not YAML ({shown(str(error))})", "Check tags (!) and directives (%).")
        return None
    return _Builder(text, notes, first_line).build(root, 0, first_line) if root is not None else None


def _note(error: YAMLError, text: str, notes: Notes, first_line: int) -> None:
    problem, index = str(error), 0
    if isinstance(error, MarkedYAMLError):
        problem = str(error.problem or error.context or "it cannot be read")
        # An unclosed quote or bracket is only missed at the end; it helps to name where it was opened.
        opened = str(error.context or "").endswith(
            ("quoted scalar", "flow sequence", "flow mapping", "flow node")
        )
        mark = (error.context_mark if opened else None) or error.problem_mark or error.context_mark
        index = mark.index if mark is not None else 0
    elif isinstance(error, ReaderError):
        problem, index = str(error.reason), int(error.position)
    line = first_line + text.count("\n", 0, min(index, len(text.rstrip("\n"))))
    remedy = next((words for sign, words in _REMEDIES if sign in problem), None)
    notes.add(
        line,
        f"this is not YAML ({problem.splitlines()[0][:120] if problem else 'it cannot be read'})",
        remedy or "Check the indentation, the brackets and the quotes at and before this line.",
    )


class _Builder:
    def __init__(self, text: str, notes: Notes, first_line: int) -> None:
        self._text, self._notes, self._first = text, notes, first_line
        self._seen: set[int] = set()

    def _line(self, node: YamlNode) -> int:
        return self._first + self._text.count("\n", 0, node.start_mark.index)

    def build(self, node: YamlNode, depth: int, near: int) -> Tree:
        line = self._line(node)
        if depth > 30:
            self._notes.add(line, "the values are nested too deeply", "Remove the inner brackets.")
            return Scalar(text="", tag="null", line=line)
        if id(node) in self._seen:
            # Refused rather than followed: an alias can contain itself, or grow without end. The node is the
            # anchor's, so the line of the alias's key or list is told.
            self._notes.add(near, "anchors and aliases (& and *) are not read", "Write the value out.")
            return Scalar(text="", tag="null", line=line)
        self._seen.add(id(node))
        if isinstance(node, MappingNode):
            return self._entries(node, line, depth)
        if isinstance(node, SequenceNode):
            return Items(tuple(self.build(item, depth + 1, line) for item in node.value), line)
        tag = str(node.tag or "").rpartition(":")[2] or "str"
        return Scalar(text=str(node.value), tag=tag, line=line)

    def _entries(self, node: MappingNode, line: int, depth: int) -> Entries:
        entries: dict[str, tuple[Scalar, Tree]] = {}
        for key_node, value_node in node.value:
            key_line = self._line(key_node)
            if not isinstance(key_node, ScalarNode):
                self._notes.add(key_line, "a key must be a word", "Write it as `key: value`.")
                continue
            key = Scalar(text=str(key_node.value), tag="str", line=key_line)
            if key.text in entries:
                first = entries[key.text][0].line
                self._notes.add(
                    key_line, f"{shown(key.text)} is there twice (first in line {first})", "Keep one."
                )
                continue
            entries[key.text] = (key, self.build(value_node, depth + 1, key_line))
        return Entries(tuple(entries.values()), line)
