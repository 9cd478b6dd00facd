"""Everything that can be asked of, or done to, a pipeline.

``registry`` knows the operations, ``get`` finds one by name, ``parse`` reads flags: the same words
and flags in the terminal and in Slack.
"""

from __future__ import annotations

from pipeline.operations.base import (
    ChangeOperation,
    Context,
    Operation,
    Param,
    Plan,
    Progress,
    ReadOperation,
    Risk,
)

__all__ = ["ChangeOperation", "Context", "Operation", "Param", "Plan", "Progress", "ReadOperation", "Risk"]
