// The box to write in: "/" lists the commands, Enter sends, Shift+Enter makes a new line.

import { el, fill, uid } from "./dom.js";

export const COMMANDS = [
  ["/pipeline", "health | status | jobs | logs | quality | restart | scale", "Look at the pipeline, or change it"],
  ["/dlq", "stats | peek | replay | export | ack", "The dead letters: messages that could not be processed"],
  ["/incident", "declare | list | ack | assign | severity | status | note | escalate | snooze | timeline | timers | resolve", "The incident of this channel"],
  ["/runbook", "list | show NAME | run NAME", "What to do, step by step"],
  ["/cost", "report | forecast | leaks | drivers", "What the pipeline costs"],
  ["/oncall", "", "Who is on call at which level"],
  ["/review", "show | edit | done | actions", "The review after the incident"],
];

/** The commands of the installed app, with our hints where there are some. */
export const offered = (names) => (names ?? []).map((name) => COMMANDS.find(([known]) => known === name) ?? [name, "", ""]);

/** Commands that begin with what was typed, then their words; [] when there is nothing to suggest. */
export function suggestions(text, commands = COMMANDS) {
  if (!text.startsWith("/") || text.includes("\n")) return [];
  const [head, word] = text.split(" ");
  if (word === undefined) {
    return commands.filter(([name]) => name.startsWith(head)).map(([name, words, hint]) => ({ insert: `${name} `, label: name, words, hint }));
  }
  const command = commands.find(([name]) => name === head);
  if (!command || text.split(" ").length > 2) return [];
  return [...command[1].split(" | ").filter(Boolean), "help"].map((w) => w.split(" ")[0]).filter((w) => w.startsWith(word) && w !== word)
    .map((w) => ({ insert: `${head} ${w}`, label: `${head} ${w}`, words: "", hint: "" }));
}

/** Builds the composer into `form`. handlers: send(text) -> Promise, placeholder in `label`. */
export class Composer {
  constructor(form, { inputId, label, send, slash = true }) {
    this.send = send;
    this.slash = slash;
    this.commands = COMMANDS;
    this.listId = uid("commands");
    this.selected = -1;
    this.items = [];
    this.list = el("ul", { id: this.listId, class: "suggestions", role: "listbox", "aria-label": "Commands", hidden: true });
    this.input = el("textarea", {
      id: inputId ?? uid("write"), rows: 1, "aria-label": label, placeholder: label, autocomplete: "off", spellcheck: "true",
      // A multi-line box must stay a textbox; the list is told by aria-controls and the active option.
      "aria-haspopup": slash ? "listbox" : null, "aria-controls": slash ? this.listId : null, "aria-autocomplete": slash ? "list" : null,
      oninput: () => this.suggest(), onkeydown: (e) => this.key(e), onblur: () => setTimeout(() => this.hide(), 150), onfocus: () => this.suggest(),
    });
    const button = el("button", { type: "submit", class: "button primary" }, "Send");
    form.addEventListener("submit", (event) => { event.preventDefault(); this.submit(); });
    fill(form, this.list, el("div", { class: "compose-row" }, this.input, button));
  }

  set label(text) {
    this.input.placeholder = text;
    this.input.setAttribute("aria-label", text);
  }

  get text() { return this.input.value; }

  set text(value) { this.input.value = value; this.suggest(); }

  hide() {
    this.list.hidden = true;
    this.items = [];
    this.selected = -1;
    this.input.removeAttribute("aria-activedescendant");
  }

  suggest() {
    this.input.style.height = "auto";
    this.input.style.height = `${Math.min(180, this.input.scrollHeight + 2)}px`;
    const items = this.slash && document.activeElement === this.input ? suggestions(this.input.value, this.commands) : [];
    if (!items.length) { this.hide(); return; }
    this.items = items;
    this.selected = -1;
    this.list.hidden = false;
    fill(this.list, items.map((item, i) => el("li", { id: `${this.listId}-${i}`, role: "option", "aria-selected": "false", onmousedown: (e) => { e.preventDefault(); this.take(i); } },
      el("strong", {}, item.label), item.words ? el("code", {}, item.words) : null, item.hint ? el("span", { class: "muted" }, item.hint) : null)));
  }

  mark(index) {
    this.selected = (index + this.items.length) % this.items.length;
    [...this.list.children].forEach((li, i) => li.setAttribute("aria-selected", String(i === this.selected)));
    this.input.setAttribute("aria-activedescendant", `${this.listId}-${this.selected}`);
    this.list.children[this.selected].scrollIntoView({ block: "nearest" });
  }

  take(index) {
    this.text = this.items[index].insert;
    this.input.focus();
  }

  key(event) {
    const shown = !this.list.hidden;
    if (shown && event.key === "ArrowDown") this.mark(this.selected + 1);
    else if (shown && event.key === "ArrowUp") this.mark(this.selected < 0 ? -1 : this.selected - 1);
    else if (shown && event.key === "Escape") this.hide();
    else if (shown && event.key === "Tab" && !event.shiftKey) this.take(Math.max(0, this.selected));
    else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      if (shown && this.selected >= 0) this.take(this.selected);
      else this.submit();
    } else return;
    event.preventDefault();
  }

  async submit() {
    const text = this.input.value.trim();
    if (!text) return;
    this.text = "";
    this.hide();
    // What could not be sent comes back into the box, unless something else was begun meanwhile.
    if (!(await this.send(text)) && !this.input.value) this.text = text;
  }
}
