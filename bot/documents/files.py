"""Reading a file as text: any file, whatever is in it, either becomes text or a mistake."""

from __future__ import annotations

from pathlib import Path

from bot.documents.mistakes import Notes

LARGEST = 512 * 1024
"""In bytes. A document that a person edits is far smaller; more would only slow the start down."""


def read_text(path: Path, notes: Notes) -> str | None:
    """The text with `\\n` at each line's end and without a byte-order mark, or None after noting why not."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except FileNotFoundError:
        notes.add(0, "the file is missing", "Create it, or set RUNBOOKS_DIR to the folder that holds it.")
        return None
    except OSError as error:
        notes.add(
            0, f"the file cannot be read ({error.strerror})", "Check that it is a file and may be read."
        )
        return None
    if len(raw) > LARGEST:
        notes.add(
            0, f"the file is larger than {LARGEST // 1024} KiB", "Split it, or remove what is not needed."
        )
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        notes.add(
            raw.count(b"\n", 0, error.start) + 1,
            "the text is not UTF-8",
            "Save the file in the encoding UTF-8.",
        )
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n")
