"""dlq.replay: send back what passes now.  Nothing is lost, whenever it is killed.

Pull, publish the original, wait for the answer, only then acknowledge.  Killed between the last two
it leaves a message both published and queued: running again publishes it once more, under the same
``replay_of``, by which it can be told.  What a sink refused is written to that sink again, under its own id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from pipeline.deadletters import Preview, decide, recent_groups
from pipeline.errors import PipelineError
from pipeline.gather import measure
from pipeline.operations.base import ChangeOperation, Context, Param, Plan, ProgressSink, Risk, plan_id
from pipeline.operations.dlq import sample, size_of_queue, subscription_of
from pipeline.operations.dlq_job import advice, as_job, run_job, verify_job
from pipeline.operations.dlq_run import replay, sent_before
from pipeline.operations.dlq_words import effects, pace_words, report_of_run, warnings
from pipeline.report import Evidence, Finding, NextStep, Report, duration, percent, plural
from pipeline.rules import facts

_LOOKS = 3
_LOOK_S = 10.0


class DlqReplay(ChangeOperation):
    """Replays dead letters to the topics that they came from, and rows to the sinks that refused them."""

    name = "dlq.replay"
    words = ("dlq", "replay")
    summary = "Send dead letters that pass validation now back to their topics"
    params = (
        Param(name="limit", type=int, default=1000, help="how many to look at", minimum=1, maximum=100000),
        Param(
            name="rule", type=str, default=None, help="only those that broke this rule, e.g. currency:format"
        ),
        Param(
            name="canary",
            type=int,
            default=5,
            help="how many go first and are watched",
            minimum=0,
            maximum=100,
        ),
        Param(
            name="rate", type=int, default=500, help="messages a second (0: no cap)", minimum=0, maximum=10000
        ),
        Param(name="as_job", type=bool, default=False, help="the whole queue, as a job on Dataflow"),
        Param(name="force", type=bool, default=False, help="even while the pipeline is down (destructive)"),
    )
    risk = Risk.CHANGE
    resumable = True

    def plan(self, ctx: Context, params: Mapping[str, Any]) -> Plan:
        limit, rule = int(params.get("limit") or 1000), params.get("rule") or None
        force = bool(params.get("force"))
        canary, rate = (_number(params, key) for key in ("canary", "rate"))
        name = subscription_of(ctx)
        preview = Preview()
        selected: set[str] = set()
        with sample(ctx, limit) as held:
            now = ctx.now()
            for one in held:
                decision = decide(one.letter, ctx.pipeline, rule)
                preview.add(decision, now)
                if decision.fate == "replay":
                    selected.add(one.letter.group)
            arriving = recent_groups(held, now)
            seen = len(held)
        going = preview.going
        reason, remedy, error_rate = _standing(ctx, selected & arriving)
        refusal = None
        if not seen:
            refusal = f"There is nothing to replay: {name} gave no message."
        elif not going:
            refusal = f"None of {plural(seen, 'dead letter')} would pass; {_why_not(preview)}."
        elif reason and not force:
            refusal = f"{reason} {remedy}; or --force."
        hint = advice(ctx, name) if seen >= limit and not params.get("as_job") else ()
        plan = Plan(
            id=plan_id(),
            operation=self.name,
            pipeline=ctx.pipeline.name,
            params={"limit": limit, "rule": rule, "canary": canary, "rate": rate, "force": force},
            summary=f"Send {plural(going, 'of the dead letters', 'of the dead letters')} ({seen} looked at) back.",
            effects=(*effects(preview, name), *((pace_words(going, canary, rate),) if going else ())),
            warnings=(*warnings(preview, reason if force else None), *hint),
            refusal=refusal,
            risk=Risk.DESTRUCTIVE if force else Risk.CHANGE,
            made_at=now,
            data={
                "subscription": name,
                "going": going,
                "seen": seen,
                "fates": dict(preview.fates),
                "topics": dict(preview.topics),
                "sinks": dict(preview.sinks),
                "late": preview.late,
                "late_days": dict(preview.late_days),
                "failing_rules": dict(preview.failing_rules),
                "error_rate": error_rate,
            },
        )
        return as_job(ctx, plan) if params.get("as_job") else plan

    def run(self, ctx: Context, plan: Plan, progress: ProgressSink) -> Report:
        from pipeline.errors import Refused

        if plan.refusal:
            raise Refused(plan.refusal)
        if not plan.params["force"] and (reason := _standing(ctx, set())[0]):
            more = "nothing more" if sent_before(ctx, plan) else "nothing"
            raise Refused(f"{reason} That changed since the plan was made; {more} was sent.")
        if plan.params.get("as_job"):
            return run_job(ctx, plan, progress)
        outcome = replay(ctx, plan, progress)
        return report_of_run(ctx, plan, outcome)

    def verify(self, ctx: Context, plan: Plan) -> Report:
        """Looks a few times whether what was sent comes back as dead letters."""
        if plan.params.get("as_job"):
            return verify_job(ctx, plan)
        name = subscription_of(ctx)
        back: Counter[str] = Counter()
        for look in range(_LOOKS):
            ctx.sleep(_LOOK_S)
            with sample(ctx, 2000) as held:
                back = Counter(
                    one.letter.group for one in held if one.letter.attributes.get("replay_id") == plan.id
                )
                seen = len(held)
            if back or look == _LOOKS - 1:
                break
        return _verified(ctx, plan, name, back, seen)


def _standing(ctx: Context, still_arriving: set[str]) -> tuple[str, str, float | None]:
    """Why a replay would only feed the queue again, or nothing; what to do then; and the error rate.

    RULES "Operations at 03:10", Replay.
    """
    measured = measure(ctx.clients, ctx.pipeline, ctx.now(), ctx.deadline_s, with_logs=False)
    known = {fact.id: fact for fact in facts(measured)}
    down, text = known["down"].on, known["down"].text
    rate = known["error_rate"].value
    # What the caller knows is older than a look of our own; it counts where there is none.
    unsure = down is None and (measured.jobs is not None or ctx.facts.get("down") is not False)
    if down:
        return f"The pipeline is down: {text}.", "Restart first, have it verified, then replay", rate
    if unsure:
        return f"It is not sure yet that the pipeline runs: {text}.", "Plan again when it is", rate
    most = ctx.pipeline.limits.error_warning
    if rate is not None and rate > most and still_arriving:
        kinds = ", ".join(sorted(still_arriving))
        span = duration(ctx.pipeline.limits.rate_s)
        reason = (
            f"{percent(rate)} of the events of the last {span} were refused, some by the same rule ({kinds})."
        )
        remedy = f"If the cause is gone, plan again in {span}: it may go below {percent(most)}; if not, mend it first"
        return reason, remedy, rate
    return "", "", rate


def _number(params: Mapping[str, Any], name: str) -> int:
    """A parameter's value; 0 is one, and not the default."""
    given = params.get(name)
    default = next(param.default for param in DlqReplay.params if param.name == name)
    return int(default or 0) if given is None else int(given)


def _why_not(preview: Preview) -> str:
    if preview.failing_rules:
        rules = ", ".join(f"{rule} ({count})" for rule, count in preview.failing_rules.most_common(3))
        return f"they would fail again by {rules}"
    from pipeline.deadletters import FATES

    return "; ".join(f"{count} {FATES[fate]}" for fate, count in preview.fates.most_common())


def _verified(ctx: Context, plan: Plan, name: str, back: Counter[str], seen: int) -> Report:
    try:
        count, _, reason = size_of_queue(ctx, name)
    except PipelineError as error:
        count, reason = None, str(error)
    came = sum(back.values())
    evidence = (Evidence("came back", came, "messages", ctx.now()),)
    if came:
        kinds = ", ".join(f"{group} ({n})" for group, n in back.most_common(3))
        findings = [
            Finding("came_back", "warning", f"{plural(came, 'message')} came back: {kinds}.", evidence)
        ]
        verdict = f"{plural(came, 'replayed message')} failed again: {kinds}."
    else:
        findings = [Finding("came_back", "ok", "None of the replayed messages came back.", evidence)]
        verdict = (
            f"The replay holds: no message of it came back; {plural(seen, 'dead letter')} left in {name}."
        )
    text = f"Cloud Monitoring counts {count} in {name}." if count is not None else f"Count unknown: {reason}."
    findings.append(Finding("left", "info", text))
    return Report(
        operation=plan.operation,
        pipeline=ctx.pipeline.name,
        title="Replay verified" if not came else "Replay came back",
        verdict=verdict,
        severity="warning" if came else "ok",
        as_of=ctx.now(),
        findings=tuple(findings),
        next=(NextStep("Look at what is left", "dlq.peek"),) if seen else (),
        data={"came_back": came, "left_seen": seen, "left_counted": count},
    )
