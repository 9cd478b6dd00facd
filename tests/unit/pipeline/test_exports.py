"""What is written to an export is what is read from it, whatever bytes a message holds."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import exports
from pipeline.google.pubsub import Message

AT = datetime(2026, 11, 20, 10, tzinfo=UTC)


def message(id_: str, data: bytes, attributes: dict[str, str]) -> Message:
    return Message(id=id_, data=data, attributes=attributes, published=AT, ack_id="a")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.binary(max_size=40), st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=2)
        ),
        min_size=1,
        max_size=5,
    )
)
def test_any_bytes_and_attributes_survive(
    tmp_path_factory: object, items: list[tuple[bytes, dict[str, str]]]
) -> None:
    folder: Path = tmp_path_factory.mktemp("exports")  # type: ignore[attr-defined]
    written = [message(str(i), data, attributes) for i, (data, attributes) in enumerate(items)]
    export = exports.write(folder, "orders", written)
    assert export.ids == {m.id for m in written}
    assert exports.read(export.path) == [(m.id, m.data, dict(m.attributes)) for m in written]


def test_line_separators_of_other_alphabets_do_not_split_a_line(tmp_path: Path) -> None:
    data = "a\u2028b\u2029c\r\nd\x85e".encode()
    export = exports.write(tmp_path, "orders", [message("1", data, {})])
    assert exports.read(export.path) == [("1", data, {})]


def test_a_name_cannot_leave_the_directory(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    export = exports.write(inside, "../../etc/passwd", [message("1", b"x", {})])
    assert export.path.parent == inside
    assert exports.exported_ids(inside, "../../etc/passwd") == {"1"}
