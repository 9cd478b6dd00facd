"""Unmasked data is not for everybody who may read."""

from __future__ import annotations

from pipeline.operations import registry


def test_an_export_of_unmasked_data_needs_the_right_to_change() -> None:
    """Nothing changes in the pipeline; customers' data lands on a disk all the same."""
    operations = registry()
    assert operations["dlq.export"].risk == "read"
    assert operations["dlq.export"].gate == "change"
    assert operations["dlq.peek"].gate == "read"
    assert operations["dlq.ack"].gate == "destructive"
