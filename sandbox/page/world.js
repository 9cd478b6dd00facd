// The "World" panel: what Google Cloud looks like right now, scenarios to choose, and a form that raises an alert.

import { el, fill, toast } from "./dom.js";
import * as api from "./api.js";

const SCENARIOS = [
  ["healthy", "Everything runs"],
  ["job_failed", "The job fails: backlog and dead letters grow"],
  ["job_stuck", "The job runs, but nothing moves"],
  ["schema_change", "A source renames a field"],
  ["new_required_field", "A required field is missing"],
  ["invalid_format", "Values in a wrong format"],
  ["rule_violation", "Values that break a business rule"],
  ["cost_spike", "Spending jumps"],
  ["doubled_job", "Two jobs read one subscription"],
  ["hot_key", "One key gets most of the events"],
  ["silent_source", "One event type stops coming"],
  ["slow_sink", "Writing to the sink is slow"],
];

const number = (value) => (typeof value === "number" ? value.toLocaleString("en", { maximumFractionDigits: 1 }) : String(value));

/** Any JSON as nested lists: the world may grow new parts without this page. */
function anything(value, depth = 0) {
  if (value === null || value === undefined || value === "") return "none";
  if (typeof value !== "object") return number(value);
  if (Array.isArray(value)) {
    if (!value.length) return "none";
    if (value.every((v) => typeof v !== "object")) return value.map(number).join(", ");
    const shown = value.slice(0, 8).map((v) => el("li", {}, anything(v, depth + 1)));
    return el("ul", { class: "tree" }, shown, value.length > 8 ? el("li", { class: "muted" }, `and ${value.length - 8} more`) : null);
  }
  const entries = Object.entries(value);
  if (!entries.length) return "none";
  if (depth > 1) return entries.map(([k, v]) => `${k.replaceAll("_", " ")}: ${typeof v === "object" ? JSON.stringify(v) : number(v)}`).join(", ");
  return el("dl", { class: "facts" }, entries.map(([k, v]) => [el("dt", {}, k.replaceAll("_", " ")), el("dd", {}, anything(v, depth + 1))]));
}

function jobLine(job) {
  const state = String(job.state ?? "unknown").replace("JOB_STATE_", "");
  return el("li", {}, el("strong", {}, job.name ?? job.id), " ", el("span", { class: "badge" }, job.stuck ? `${state}, stuck` : state),
    job.workers !== undefined && state === "RUNNING" ? ` ${job.workers} workers` : "", el("br"), el("small", { class: "muted" }, job.id ?? ""));
}

function queueLine([name, queue]) {
  const count = queue?.count ?? 0;
  return el("li", {}, el("strong", {}, name), count ? ` ${number(count)} ${count === 1 ? "message" : "messages"}, oldest ${number(Math.round(queue.oldest_s ?? 0))} s` : " empty");
}

function pipelineLine(p) {
  const share = p.error_rate_5m === null || p.error_rate_5m === undefined ? "no events in 5 min" : `${number(p.error_rate_5m * 100)} % errors in 5 min`;
  return el("li", {}, el("strong", {}, p.name), ` lag ${number(Math.round(p.lag_s ?? 0))} s, ${share}`, p.restart === "fails" ? ", a restart would fail" : "");
}

const logLine = (entry) => el("li", {}, el("strong", {}, entry.severity ?? ""), " ", String(entry.text ?? "").slice(0, 300));

const group = (title, lines, className = "plain") => [el("h3", {}, title), lines.length ? el("ul", { class: className }, lines) : el("p", { class: "muted" }, "None.")];

function facts(world) {
  const jobs = (world.jobs ?? []).slice().sort((a, b) => String(b.created ?? "").localeCompare(String(a.created ?? ""))).slice(0, 6);
  return [
    world.pipelines ? group("Pipelines", world.pipelines.map(pipelineLine)) : null,
    group("Jobs", jobs.map(jobLine)),
    group("Backlog", Object.entries(world.backlog ?? {}).map(queueLine)),
    group("Dead letters", Object.entries(world.dead_letters ?? {}).map(queueLine)),
    world.logs ? group("Latest logs", world.logs.slice(-5).reverse().map(logLine), "plain logs") : null,
    el("details", { class: "raw" }, el("summary", {}, "All of it"), anything(world)),
  ];
}

const labelled = (label, node) => el("label", { class: "field" }, el("span", {}, label), node);
const option = ([value, text]) => el("option", { value }, text);

export class World {
  constructor() {
    this.facts = el("div", { class: "world-facts" });
    this.now = el("p", { class: "scenario-now" });
    this.raised = [];
    this.raisedBox = el("div");
    this.node = el("div", { class: "side-body" }, this.now, this.scenarioForm(), this.alertForm(), this.raisedBox, this.facts);
  }

  scenarioForm() {
    const select = el("select", { name: "scenario" }, SCENARIOS.map(([name, hint]) => option([name, `${name.replaceAll("_", " ")}: ${hint}`])));
    select.value = "job_failed";
    const submit = async (event) => {
      event.preventDefault();
      try {
        await api.setWorld({ scenario: select.value });
        await this.refresh();
      } catch (error) { toast(error.message); }
    };
    return el("form", { class: "panel-form", onsubmit: submit }, el("h3", {}, "Change what happens"), labelled("Scenario", select), el("button", { type: "submit", class: "button" }, "Make it happen"));
  }

  alertForm() {
    const policy = el("input", { name: "policy_name", value: "Pipeline is not running", required: true, maxlength: 1000 });
    const summary = el("textarea", { name: "summary", rows: 2 });
    const severity = el("select", { name: "severity" }, [["Critical", "Critical"], ["Warning", "Warning"], ["Error", "Error"], ["No severity", "No severity"]].map(option));
    const job = el("input", { name: "job_name", value: "ecommerce-streaming" });
    const submit = async (event) => {
      event.preventDefault();
      await this.raise({
        policy_name: policy.value, condition_name: policy.value, summary: summary.value || policy.value, severity: severity.value, state: "open",
        resource: { type: "dataflow_job", labels: { job_name: job.value, region: "europe-west1", project_id: "demo-project" } }, resource_display_name: job.value,
      });
    };
    return el("details", { class: "panel-form" }, el("summary", {}, "Raise an alert"), el("form", { onsubmit: submit },
      labelled("Policy", policy), labelled("Summary", summary), labelled("Severity", severity), labelled("Dataflow job", job),
      el("button", { type: "submit", class: "button" }, "Send the alert")));
  }

  /** Sends an alert (times and id are filled in by the sandbox), or its close, which carries the id of the open one. */
  async raise(incident) {
    try {
      const answer = await api.alert(incident);
      if (answer.error || answer.status < 200 || answer.status > 299) toast(`The bot did not take the alert: ${answer.error ?? `HTTP ${answer.status}`}.`);
      else if (incident.state === "open") this.raised.push({ ...incident, incident_id: answer.incident_id });
      else this.raised = this.raised.filter((i) => i.incident_id !== incident.incident_id);
    } catch (error) { toast(error.message); }
    const line = (i) => el("li", {}, i.policy_name, " ", el("button", { type: "button", class: "button", "aria-label": `Close the alert ${i.policy_name}`, onclick: () => this.raise({ ...i, state: "closed" }) }, "Close it"));
    fill(this.raisedBox, this.raised.length ? [el("h3", {}, "Alerts you raised"), el("ul", { class: "plain" }, this.raised.map(line))] : null);
  }

  async refresh() {
    let world;
    try { world = await api.world(); } catch (error) {
      fill(this.facts, el("p", { class: "muted" }, error.message));
      return;
    }
    const key = JSON.stringify(world);
    if (key === this.shown) return;
    this.shown = key;
    const open = this.facts.querySelector("details")?.open;
    fill(this.now, "Scenario: ", el("strong", {}, world.scenario ?? "healthy"));
    fill(this.facts, facts(world));
    if (open) this.facts.querySelector("details").open = true;
  }
}
