"""The half of ``scale`` that is Bigtable's: the nodes of a cluster, and what a change of them costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import PipelineError, Refused
from pipeline.operations.base import Context, Plan, Progress, ProgressSink, Risk, plan_id
from pipeline.report import Finding, number, plural
from pipeline.waiting import looks

if TYPE_CHECKING:
    from pipeline.google.bigtable_nodes import Cluster

_THERE_S: Final = 20 * 60  # nodes are there within minutes
_HOURS: Final = 730  # of a month


def plan_nodes(ctx: Context, operation: str, params: Mapping[str, Any]) -> Plan:
    """What setting ``params["nodes"]`` would do and cost; params are those of ``scale``."""
    wanted, name = int(params["nodes"]), params.get("cluster")
    chosen, refusal = _chosen(ctx, name)
    if chosen is not None and refusal is None:
        refusal = _senseless(chosen, wanted)
    effects: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    if chosen is not None and refusal is None:
        effects = (
            f"From {plural(chosen.nodes, 'node')} to {number(wanted)} in cluster {chosen.name} ({chosen.zone}), while "
            "it serves; no data is moved away or lost.",
            _cost(ctx, wanted - chosen.nodes),
        )
        if wanted < chosen.nodes:
            warnings = (
                "With fewer nodes each has more to do and to store; Bigtable refuses what it cannot store. Look at the "
                "CPU load of the cluster first.",
            )
    at = f"Cluster {chosen.name} has {plural(chosen.nodes, 'node')}." if chosen else "The nodes of Bigtable."
    return Plan(
        id=plan_id(),
        operation=operation,
        pipeline=ctx.pipeline.name,
        params={"min": None, "max": None, "nodes": wanted, "cluster": name},
        summary=f"{at} Wanted: {number(wanted)}.",
        effects=effects,
        warnings=warnings,
        refusal=refusal,
        risk=Risk.CHANGE,
        made_at=ctx.now(),
        data={"cluster": chosen.name if chosen else None, "before": chosen.nodes if chosen else None},
    )


def run_nodes(ctx: Context, plan: Plan, progress: ProgressSink) -> Finding:
    """Asks for the nodes; Refused when somebody else changed them since the plan."""
    from pipeline.google import bigtable_nodes as bigtable

    name, wanted = str(plan.data["cluster"]), int(plan.params["nodes"])
    found = bigtable.cluster(ctx.clients, ctx.pipeline, name, ctx.deadline_s)
    if found.nodes == wanted:
        return Finding("taken", "ok", f"Cluster {name} has {plural(wanted, 'node')} already.")
    if found.nodes != plan.data["before"] or found.autoscaled:
        raise Refused(
            f"Cluster {name} has {plural(found.nodes, 'node')}, not {plan.data['before']} as when the plan was made; "
            "nothing was changed."
        )
    progress(Progress(f"Setting cluster {name} to {plural(wanted, 'node')}"))
    bigtable.set_nodes(ctx.clients, ctx.pipeline, name, wanted, ctx.deadline_s)
    return Finding("taken", "ok", f"Bigtable took {plural(wanted, 'node')} for cluster {name}.")


def verify_nodes(ctx: Context, plan: Plan) -> Finding:
    """Waits until the cluster says that it has them."""
    from pipeline.google import bigtable_nodes as bigtable

    name, wanted = str(plan.data["cluster"]), int(plan.params["nodes"])
    for _ in looks(ctx.now, ctx.sleep, _THERE_S, least=2, most=20):
        nodes = bigtable.cluster(ctx.clients, ctx.pipeline, name, ctx.deadline_s).nodes
        if nodes == wanted:
            return Finding("verified", "ok", f"Verified: cluster {name} has {plural(nodes, 'node')}.")
    text = f"Not verified: cluster {name} has {plural(nodes, 'node')}, wanted are {number(wanted)}."
    return Finding("verified", "warning", text)


def _clusters(ctx: Context) -> tuple[Cluster, ...]:
    from pipeline.google import bigtable_nodes as bigtable

    return bigtable.clusters(ctx.clients, ctx.pipeline, ctx.deadline_s)


def _chosen(ctx: Context, name: str | None) -> tuple[Cluster | None, str | None]:
    """The cluster that is meant, or why none is."""
    instance = ctx.pipeline.bigtable_instance
    if not instance:
        return None, f"{ctx.pipeline.name} has no Bigtable instance in pipelines.yaml."
    found = _clusters(ctx)
    names = ", ".join(one.name for one in found) or "none"
    if name is not None:
        chosen = next((one for one in found if one.name == name), None)
        return chosen, None if chosen else f"{instance} has no cluster {name}; it has: {names}."
    if len(found) != 1:
        return None, f"{instance} has {plural(len(found), 'cluster')}; say --cluster with one of: {names}."
    return found[0], None


def _senseless(cluster: Cluster, wanted: int) -> str | None:
    if cluster.autoscaled:
        least, most = cluster.autoscaled
        return (
            f"Cluster {cluster.name} sets its nodes by itself, between {least} and {most}; a number set here would "
            "not last. Change its autoscaling instead."
        )
    if wanted == cluster.nodes:
        return f"Cluster {cluster.name} has {plural(wanted, 'node')} already; nothing is to be changed."
    return None


def _cost(ctx: Context, more: int) -> str:
    """What the change costs by list, or that it is not known; never a made-up figure."""
    from pipeline.google.prices import node_price

    try:
        price = node_price(ctx.clients, ctx.pipeline.region, ctx.deadline_s)
        why = "the price list does not name a node of this region exactly once"
    except PipelineError as error:
        price, why = None, str(error)
    if price is None:
        return f"What that costs is not known: {why}."
    hour, currency = price
    sign = "" if more > 0 else "-"
    return (
        f"Change of cost, an estimate by list price: {sign}{number(abs(more) * hour, 2)} {currency} an hour "
        f"({sign}{number(abs(more) * hour * _HOURS)} a month); nodes only, without storage, network and discounts."
    )
