"""A dry run names every step, every way on, and what would be done."""

from datetime import timedelta

from bot.core.dry_run import MOST_WAYS, dry_run, ways_through
from bot.core.runbook import Branch, Runbook, Step


def _book(*steps: Step) -> Runbook:
    return Runbook(name="x", title="X", kind="other", steps=steps)


LOOK = Step(
    id="look", title="Look", prose="", line=1, run="pipeline.logs", risk="read", params={"limit": 50},
    branches=(Branch("stopped", "restart"), Branch("else", None)), following="restart",
)  # fmt: skip
RESTART = Step(
    id="restart", title="Restart", prose="", line=2, run="pipeline.restart", risk="change", following="delete"
)
DELETE = Step(
    id="delete", title="Delete", prose="", line=3, run="dlq.ack", risk="destructive", following="tell"
)
TELL = Step(
    id="tell", title="Tell", prose="", line=4, contact="data", remind=timedelta(minutes=30),
    branches=(Branch("they_did", "look"), Branch("else", None)),
)  # fmt: skip


def test_every_step_and_every_way_on_is_told_with_what_would_be_done() -> None:
    assert dry_run(_book(LOOK, RESTART, DELETE, TELL), {"data": "data@example.com"}) == (
        "4 steps, 2 ways through, the longest with 4 steps; 1 of them with a change.",
        "1. Look: the bot runs `/pipeline logs --limit 50`",
        "    stopped -> 2. Restart",
        "    else -> end",
        "2. Restart: offers the plan of `/pipeline restart`; whoever may confirms it",
        "    then -> 3. Delete",
        "3. Delete: offers the plan of `/dlq ack`; on production its name is typed and a second person approves it",
        "    then -> 4. Tell",
        "4. Tell: waits for a person, who writes to data@example.com, who answers they did or something else;"
        " reminds after 30 min",
        "    they_did -> 1. Look",
        "    else -> end",
    )


def test_each_way_through_is_walked_once() -> None:
    assert list(ways_through(_book(LOOK, RESTART, DELETE, TELL))) == [
        ("look",),
        ("look", "restart", "delete", "tell"),
    ]


def test_branches_that_multiply_are_counted_up_to_a_bound() -> None:
    steps = [
        Step(
            id=f"s{n}", title=f"S{n}", prose="", line=n + 1,
            branches=(Branch("a", f"s{n + 1}"), Branch("b", f"s{n + 2}"), Branch("else", f"s{n + 3}")),
        )
        for n in range(40)
    ]  # fmt: skip
    ends = [Step(id=f"s{n}", title=f"S{n}", prose="", line=n + 1) for n in range(40, 43)]
    assert f"at least {MOST_WAYS} ways" in dry_run(_book(*steps, *ends))[0]
