// Confirm dialogs, file previews and modals (views), on the browser's own <dialog>: it keeps the focus inside,
// closes on Escape and gives the focus back.

import { announce, append, el, fill, uid } from "./dom.js";
import { field, isEmpty } from "./fields.js";
import { plainText, textObject } from "./mrkdwn.js";
import { renderBlocks } from "./blocks.js";

function show(dialog) {
  const before = document.activeElement;
  document.body.append(dialog);
  dialog.addEventListener("close", () => { dialog.remove(); if (before?.isConnected) before.focus(); });
  dialog.showModal();
  return dialog;
}

/** Slack's confirm object as a question; resolves to true or false. */
export function confirm(object, ctx) {
  const title = uid("title");
  return new Promise((resolve) => {
    const answer = (value) => () => { resolve(value); dialog.close(); };
    const dialog = el("dialog", { "aria-labelledby": title, class: "confirm" },
      el("h2", { id: title }, textObject(object.title ?? "Are you sure?", ctx)),
      el("div", { class: "text" }, textObject(object.text, ctx)),
      el("div", { class: "dialog-buttons" },
        el("button", { type: "button", class: "button", onclick: answer(false) }, textObject(object.deny ?? "Cancel", ctx)),
        el("button", { type: "button", class: `button ${object.style === "danger" ? "danger" : "primary"}`, onclick: answer(true) }, textObject(object.confirm ?? "Yes", ctx))));
    dialog.addEventListener("close", () => resolve(false));
    show(dialog);
  });
}

export function preview(name, text, href) {
  const title = uid("title");
  const dialog = el("dialog", { "aria-labelledby": title, class: "preview" },
    el("h2", { id: title }, name),
    el("pre", { tabindex: "0" }, text),
    el("div", { class: "dialog-buttons" }, el("a", { class: "button", href, download: name }, "Download"),
      el("button", { type: "button", class: "button primary", onclick: () => dialog.close() }, "Close")));
  show(dialog);
}

function inputBlock(block, ctx, inputs, onAct) {
  const id = uid("field");
  const element = block.element ?? {};
  const dispatch = block.dispatch_action ? (value) => onAct(element, block, value) : undefined;
  const node = field(element, ctx, { id, label: block.label?.text ?? "", onchange: dispatch });
  const error = el("p", { class: "field-error", id: `${id}-error`, role: "alert" });
  const grouped = ["checkboxes", "radio_buttons"].includes(element.type);
  node.setAttribute("aria-describedby", `${id}-error ${id}-hint`);
  inputs.push({ block, element, node, error });
  return el("div", { class: "block input" },
    el(grouped ? "p" : "label", { class: "label", for: grouped ? null : id }, plainText(block.label?.text), block.optional ? el("span", { class: "muted" }, " (optional)") : null),
    node, el("p", { class: "hint-text muted", id: `${id}-hint` }, block.hint ? plainText(block.hint.text) : ""), error);
}

/** What Slack's own client checks before it sends anything. */
function mistakes(inputs) {
  const errors = {};
  for (const { block, element, node } of inputs) {
    const state = node.read();
    if (isEmpty(state)) { if (!block.optional) errors[block.block_id] = "Please complete this required field."; continue; }
    const text = state.value;
    if (element.min_length && typeof text === "string" && text.length < element.min_length) errors[block.block_id] = `Please write at least ${element.min_length} characters.`;
    if (element.type === "number_input" && Number.isNaN(Number(text))) errors[block.block_id] = "Please write a number.";
  }
  return errors;
}

function showErrors(inputs, errors) {
  let first = null;
  for (const { block, node, error } of inputs) {
    const text = errors[block.block_id];
    error.textContent = text ?? "";
    node.toggleAttribute("aria-invalid", Boolean(text));
    if (text) first ??= node;
  }
  first?.focus();
}

/** One open modal. handlers: act(element, block, choice), submit(view, values) -> errors|null, close(view). */
export class Modal {
  constructor(handlers) {
    this.handlers = handlers;
    this.dialog = null;
    this.shown = "";
  }

  /** Shows `view` (null: none is open). The same view again leaves what was typed alone. */
  render(view, ctx) {
    // What is filled in and its mistakes change the view too, but not its hash: they are in the form already.
    const key = view ? `${view.id} ${view.hash ?? ""} ${JSON.stringify(view.blocks)}` : "";
    if (key === this.shown) return;
    this.shown = key;
    this.view = view;
    if (!view) { this.dismiss(); return; }
    const kept = new Map((this.inputs ?? []).filter((i) => i.node.write).map((i) => [`${i.block.block_id}/${i.element.action_id}`, i.node.read()]));
    this.inputs = [];
    const form = this.form(view, { ...ctx, act: this.handlers.act, input: (b) => inputBlock(b, ctx, this.inputs, this.handlers.act) });
    if (this.id === view.id) for (const i of this.inputs) i.node.write?.(kept.get(`${i.block.block_id}/${i.element.action_id}`) ?? i.node.read());
    this.id = view.id;
    if (!this.dialog) {
      this.dialog = el("dialog", { class: "modal" });
      this.dialog.addEventListener("cancel", (event) => { event.preventDefault(); this.handlers.close(this.view); });
      show(this.dialog);
    }
    this.dialog.setAttribute("aria-label", view.title?.text ?? "Dialog");
    fill(this.dialog, form);
    (this.inputs[0]?.node ?? form.querySelector("button"))?.focus();
  }

  form(view, ctx) {
    const close = () => this.handlers.close(view);
    const form = el("form", { class: "modal-form", novalidate: true, onsubmit: (e) => { e.preventDefault(); this.send(view); } },
      el("div", { class: "modal-head" }, el("h2", {}, plainText(view.title?.text ?? "")), el("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: close }, "✕")),
      el("div", { class: "modal-body" }, renderBlocks(view.blocks, ctx)));
    this.failure = el("p", { class: "field-error", role: "alert" });
    append(form, [this.failure, el("div", { class: "dialog-buttons" },
      el("button", { type: "button", class: "button", onclick: close }, plainText(view.close?.text ?? "Cancel")),
      view.submit ? el("button", { type: "submit", class: "button primary" }, plainText(view.submit.text)) : null)]);
    return form;
  }

  async send(view) {
    let errors = mistakes(this.inputs);
    showErrors(this.inputs, errors);
    if (Object.keys(errors).length) return;
    const values = {};
    for (const { block, element, node } of this.inputs) (values[block.block_id] ??= {})[element.action_id] = node.read();
    this.failure.textContent = "";
    try {
      errors = (await this.handlers.submit(view, values)) ?? {};
    } catch (error) {
      this.failure.textContent = error.message;
      return;
    }
    showErrors(this.inputs, errors);
    if (Object.keys(errors).length) announce("The form has mistakes.");
  }

  dismiss() {
    this.dialog?.close();
    this.dialog = null;
    this.inputs = [];
    this.id = null;
  }
}
