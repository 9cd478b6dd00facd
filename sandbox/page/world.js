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
  const state = String(job.state ?? job.current_state ?? "").replace("JOB_STATE_", "");
  return el("li", {}, el("strong", {}, job.name ?? job.job_name ?? job.id), " ", el("span", { class: "badge" }, state || "unknown"), el("br"), el("small", { class: "muted" }, job.id ?? ""));
}

const oldestOf = (b) => b.oldest_s ?? b.oldest_seconds ?? b.oldest;

function backlogLine([name, b]) {
  const count = typeof b === "object" ? b.count ?? b.messages ?? 0 : b;
  const oldest = typeof b === "object" ? oldestOf(b) : null;
  return el("li", {}, el("strong", {}, name), ` ${number(count)} messages`, oldest ? `, oldest ${number(Math.round(Number(oldest)))} s` : "");
}

const countOf = (value) => (Array.isArray(value) ? value.length : typeof value === "object" && value ? Object.values(value).reduce((sum, v) => sum + (typeof v === "object" ? v?.count ?? 0 : Number(v) || 0), 0) : Number(value ?? 0));

/** The world's parts by their name, wherever they stand: at the top or inside each pipeline. */
function parts(world) {
  const pipelines = Object.values(world.pipelines ?? {});
  const all = (key) => [world[key], ...pipelines.map((p) => p?.[key])].filter((v) => v !== undefined && v !== null);
  return {
    jobs: all("jobs").flatMap((j) => (Array.isArray(j) ? j : Object.values(j))),
    backlog: Object.assign({}, ...all("backlog")),
    dead: all("dead_letters").reduce((sum, d) => sum + countOf(d), 0),
  };
}

function facts(world) {
  const { jobs, backlog, dead } = parts(world);
  return [
    el("h3", {}, "Jobs"), jobs.length ? el("ul", { class: "plain" }, jobs.slice(-6).reverse().map(jobLine)) : el("p", { class: "muted" }, "None."),
    el("h3", {}, "Backlog"), Object.keys(backlog).length ? el("ul", { class: "plain" }, Object.entries(backlog).map(backlogLine)) : el("p", { class: "muted" }, "None."),
    el("h3", {}, "Dead letters"), el("p", {}, `${number(dead)} waiting`),
    el("details", { class: "raw" }, el("summary", {}, "All of it"), anything(world)),
  ];
}

const scenarioOf = (world) => {
  const value = world.scenario ?? world.scenarios;
  return Array.isArray(value) ? value.map((s) => s?.name ?? s).join(", ") : value?.name ?? value ?? "healthy";
};

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
      const incident = {
        incident_id: `page-${Date.now().toString(36)}`, policy_name: policy.value, condition_name: policy.value, summary: summary.value || policy.value,
        severity: severity.value, state: "open", resource: { type: "dataflow_job", labels: { job_name: job.value, region: "europe-west1", project_id: "demo-project" } },
        resource_name: job.value, resource_display_name: job.value, started_at: Math.floor(Date.now() / 1000),
      };
      await this.raise(incident);
    };
    return el("details", { class: "panel-form" }, el("summary", {}, "Raise an alert"), el("form", { onsubmit: submit },
      labelled("Policy", policy), labelled("Summary", summary), labelled("Severity", severity), labelled("Dataflow job", job),
      el("button", { type: "submit", class: "button" }, "Send the alert")));
  }

  async raise(incident) {
    try {
      const answer = await api.alert(incident);
      const status = answer?.status;
      if (typeof status === "number" && (status < 200 || status > 299)) toast(`The bot answered HTTP ${status} to the alert.`);
      else if (incident.state === "open") this.raised.push(incident);
      else this.raised = this.raised.filter((i) => i.incident_id !== incident.incident_id);
    } catch (error) { toast(error.message); }
    fill(this.raisedBox, this.raised.length ? el("h3", {}, "Alerts you raised") : null, el("ul", { class: "plain" }, this.raised.map((i) => el("li", {}, i.policy_name, " ",
      el("button", { type: "button", class: "button", onclick: () => this.raise({ ...i, state: "closed", ended_at: Math.floor(Date.now() / 1000) }) }, "Close it")))));
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
    fill(this.now, "Scenario: ", el("strong", {}, scenarioOf(world)));
    fill(this.facts, facts(world));
    if (open) this.facts.querySelector("details").open = true;
  }
}
