// Form elements of modals (and the rarer ones of messages). Each node has read(): the element's state in Slack's shape.

import { el, uid } from "./dom.js";
import { textObject } from "./mrkdwn.js";

const INPUT_TYPES = {
  plain_text_input: "text", email_text_input: "email", url_text_input: "url", number_input: "text",
  datepicker: "date", timepicker: "time", datetimepicker: "datetime-local",
};
const STATE_KEYS = { datepicker: "selected_date", timepicker: "selected_time", datetimepicker: "selected_date_time" };

const initialOf = (e) => e.initial_value ?? e.initial_date ?? e.initial_time
  ?? (e.initial_date_time ? new Date(e.initial_date_time * 1000 - new Date().getTimezoneOffset() * 60000).toISOString().slice(0, 16) : "");

function textField(element, options) {
  const multiline = element.multiline || element.type === "rich_text_input";
  const node = el(multiline ? "textarea" : "input", {
    id: options.id, type: multiline ? null : INPUT_TYPES[element.type], rows: multiline ? 5 : null, placeholder: element.placeholder?.text,
    maxlength: element.max_length, "aria-label": options.id ? null : options.label, autocomplete: "off",
    inputmode: element.type === "number_input" ? "decimal" : null, onchange: options.onchange ? () => options.onchange(node.read()) : null,
    value: String(initialOf(element)),
  });
  node.read = () => {
    const raw = node.value === "" ? null : node.value;
    if (element.type === "datetimepicker") return { type: element.type, selected_date_time: raw && Math.floor(new Date(raw).getTime() / 1000) };
    return { type: element.type, [STATE_KEYS[element.type] ?? "value"]: raw };
  };
  node.write = (state) => { node.value = state[STATE_KEYS[element.type] ?? "value"] ?? ""; };
  return node;
}

/** The options of any select, those of people and channels included, as [{value, option}] in groups. */
function groupsOf(element, ctx) {
  if (element.type.includes("users")) return [{ options: ctx.users().map((u) => ({ value: u.id, text: `@${u.name}` })) }];
  if (/channels|conversations/.test(element.type)) return [{ options: ctx.channels().map((c) => ({ value: c.id, text: `#${c.name}` })) }];
  const plain = (list) => (list ?? []).map((o) => ({ value: o.value, text: o.text?.text ?? o.value, option: o }));
  if (element.option_groups) return element.option_groups.map((g) => ({ label: g.label?.text, options: plain(g.options) }));
  return [{ options: plain(element.options) }];
}

function selectState(element, picked) {
  const kind = /users|channels|conversations/.exec(element.type)?.[0];
  const many = element.type.startsWith("multi_");
  const values = picked.map((p) => (kind ? p.value : p.option));
  const name = kind ? (many ? `selected_${kind}` : `selected_${kind.slice(0, -1)}`) : many ? "selected_options" : "selected_option";
  return { type: element.type, [name]: many ? values : values[0] ?? null };
}

const initialChoices = (e) => [e.initial_option?.value, e.initial_user, e.initial_channel, e.initial_conversation,
  ...(e.initial_options ?? []).map((o) => o.value), ...(e.initial_users ?? []), ...(e.initial_channels ?? []), ...(e.initial_conversations ?? [])].filter(Boolean);

/** The values of what is chosen in an element's state, whatever its kind. */
const chosenIn = (state) => Object.entries(state).filter(([name]) => name !== "type").flatMap(([, value]) => value ?? []).map((item) => item.value ?? item);

function selectField(element, ctx, options) {
  const groups = groupsOf(element, ctx);
  const all = groups.flatMap((g) => g.options);
  const many = element.type.startsWith("multi_");
  const chosen = initialChoices(element);
  const option = (o) => el("option", { value: o.value, selected: chosen.includes(o.value) }, o.text);
  const node = el("select", {
    id: options.id, multiple: many, size: many ? Math.min(6, Math.max(2, all.length)) : null, "aria-label": options.id ? null : options.label,
    onchange: options.onchange ? () => options.onchange(node.read()) : null,
  }, many ? null : el("option", { value: "" }, element.placeholder?.text ?? "Choose"),
  groups.map((g) => (g.label ? el("optgroup", { label: g.label }, g.options.map(option)) : g.options.map(option))));
  node.read = () => selectState(element, [...node.selectedOptions].map((o) => all.find((a) => a.value === o.value)).filter(Boolean));
  node.write = (state) => { for (const o of node.options) o.selected = chosenIn(state).includes(o.value); };
  return node;
}

function checkField(element, ctx, options) {
  const radio = element.type === "radio_buttons";
  const name = uid("choice");
  const chosen = initialChoices(element);
  const boxes = (element.options ?? []).map((o) => [o, el("input", {
    type: radio ? "radio" : "checkbox", name, checked: chosen.includes(o.value), onchange: options.onchange ? () => options.onchange(node.read()) : null,
  })]);
  const node = el("div", { class: "choices", role: radio ? "radiogroup" : "group", "aria-label": options.label, id: options.id }, boxes.map(([o, box]) =>
    el("label", {}, box, el("span", {}, textObject(o.text, ctx), o.description ? el("small", { class: "muted" }, textObject(o.description, ctx)) : null))));
  node.read = () => {
    const picked = boxes.filter(([, box]) => box.checked).map(([o]) => o);
    return radio ? { type: element.type, selected_option: picked[0] ?? null } : { type: element.type, selected_options: picked };
  };
  node.write = (state) => { for (const [o, box] of boxes) box.checked = chosenIn(state).includes(o.value); };
  return node;
}

/** options: {label, id?, onchange?(state)} */
export function field(element, ctx, options) {
  if (element.type in INPUT_TYPES || element.type === "rich_text_input") return textField(element, options);
  if (element.type.includes("select")) return selectField(element, ctx, options);
  if (["checkboxes", "radio_buttons"].includes(element.type)) return checkField(element, ctx, options);
  const node = el("p", { class: "muted" }, `This page cannot show an element of type ${element.type}.`);
  node.read = () => ({ type: element.type });
  return node;
}

export function isEmpty(state) {
  return Object.entries(state ?? {}).every(([key, value]) => key === "type" || value === null || value === undefined || (Array.isArray(value) && !value.length));
}
