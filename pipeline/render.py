"""Reports and plans for the terminal and as Markdown.

Words carry the meaning; colour only underlines it, and only on a terminal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.operations.base import Plan
from pipeline.report import Evidence, Finding, Report, Severity, Table, clock

if TYPE_CHECKING:
    from rich.console import Console

_WORDS: Final[dict[Severity, str]] = {
    "ok": "OK",
    "info": "INFO",
    "warning": "WARNING",
    "critical": "CRITICAL",
    "unknown": "UNKNOWN",
}
_STYLES: Final[dict[Severity, str]] = {
    "ok": "green",
    "info": "cyan",
    "warning": "yellow",
    "critical": "bold red",
    "unknown": "magenta",
}
_ESCAPES: Final = str.maketrans({c: "\\" + c for c in "\\`*_[]<>#|"})


def markdown(report: Report) -> str:
    """The report as Markdown; outside text cannot make markup of its own."""
    lines = [
        f"## {_plain(report.title or report.operation)}",
        "",
        f"**{_WORDS[report.severity]}**: {_md(report.verdict)}",
    ]
    lines += ["", f"As of {clock(report.as_of)}."]
    if report.findings:
        lines += [
            "",
            *(f"- **{_WORDS[f.severity]}** {_md(f.text)}{_md_evidence(f.evidence)}" for f in report.findings),
        ]
    for table in report.tables:
        lines += ["", f"### {_plain(table.title)}", "", *_md_table(table)]
    if report.next:
        lines += ["", "Next:", *(f"- {_md(step.label)} (`{step.operation}`)" for step in report.next)]
    return "\n".join(lines) + "\n"


def terminal(report: Report, console: Console) -> None:
    """Prints the report; the console decides about colour and width."""
    from rich.text import Text

    console.print(
        Text.assemble((_WORDS[report.severity], _STYLES[report.severity]), " ", _plain(report.verdict))
    )
    console.print(
        Text(f"{_plain(report.title or report.operation)}, as of {clock(report.as_of)}", style="dim")
    )
    for finding in report.findings:
        _finding(finding, console)
    for table in report.tables:
        _table(table, console)
    for step in report.next:
        console.print(
            Text.assemble(("Next: ", "bold"), f"{_plain(step.label)}  ", (command(step.operation), "dim"))
        )


def plan_terminal(plan: Plan, console: Console) -> None:
    """Prints what a change would do."""
    from rich.text import Text

    console.print(Text.assemble(("PLAN", "bold"), f" {plan.id} ({plan.risk.value}): ", _plain(plan.summary)))
    for effect in plan.effects:
        console.print(Text(f"  - {_plain(effect)}"))
    for warning in plan.warnings:
        console.print(Text.assemble(("  WARNING ", "yellow"), _plain(warning)))
    if plan.refusal:
        console.print(Text.assemble(("REFUSED ", "bold red"), _plain(plan.refusal)))


def command(operation: str) -> str:
    """How an operation is called in the terminal: "python -m pipeline dlq peek"."""
    return "python -m pipeline " + operation.removeprefix("pipeline.").replace(".", " ")


def _finding(finding: Finding, console: Console) -> None:
    from rich.text import Text

    label = f"  {_WORDS[finding.severity]:<8} "
    said = Text(_plain(finding.text)).wrap(console, max(console.width - len(label), 20))
    for number, line in enumerate(said):
        lead = label if number == 0 else " " * len(label)
        console.print(Text.assemble((lead, _STYLES[finding.severity]), line))


def _table(table: Table, console: Console) -> None:
    from rich.box import SIMPLE
    from rich.table import Table as RichTable
    from rich.text import Text

    if _too_narrow(table, console.width):
        _stacked(table, console)
        return
    made = RichTable(title=Text(_plain(table.title)), title_justify="left", box=SIMPLE, title_style="bold")
    for column in table.columns:
        made.add_column(Text(_plain(column)), overflow="fold")
    for row in table.rows:
        made.add_row(*(Text(_plain(cell)) for cell in row))
    console.print(made)


def _too_narrow(table: Table, width: int) -> bool:
    """Whether columns would be squeezed until their words break."""
    wanted = sum(
        min(max((len(row[n]) for row in (table.columns, *table.rows)), default=0), 20) + 3
        for n in range(len(table.columns))
    )
    return wanted + 2 > width


def _stacked(table: Table, console: Console) -> None:
    """A table for a narrow window: each row as lines of "column: cell"."""
    from rich.text import Text

    console.print(Text(_plain(table.title), style="bold"))
    for row in table.rows:
        for number, (column, cell) in enumerate(zip(table.columns, row, strict=True)):
            if cell:
                lead = "- " if number == 0 else "  "
                console.print(Text(f"{lead}{_plain(column)}: {_plain(cell)}"))
    console.print()


def _md_table(table: Table) -> list[str]:
    head = "| " + " | ".join(_md(column) for column in table.columns) + " |"
    rule = "|" + "---|" * len(table.columns)
    return [head, rule, *("| " + " | ".join(_md(cell) for cell in row) + " |" for row in table.rows)]


def _md_evidence(evidence: tuple[Evidence, ...]) -> str:
    if not evidence:
        return ""
    parts = [f"{item.what} {item.measured}" for item in evidence]
    return f" ({_md('; '.join(parts))})"


def _md(text: str) -> str:
    return _plain(text).translate(_ESCAPES)


def _plain(text: str) -> str:
    """One line without control characters: outside text must not steer a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)
