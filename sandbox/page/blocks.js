// Block Kit as DOM nodes. `ctx`: names (names.js), plus act(element, block, choice) for what a person does in it.

import { el, link, safeUrl } from "./dom.js";
import { field } from "./fields.js";
import { markdown } from "./markdown.js";
import { menuButton } from "./menu.js";
import { mrkdwn, plainText, textObject } from "./mrkdwn.js";
import { richText, table } from "./richtext.js";

function image(url, alt, className) {
  const safe = url && safeUrl(url);
  if (safe && new URL(safe).origin === location.origin) return el("img", { class: className, src: safe, alt: alt ?? "", loading: "lazy" });
  // The page loads nothing from outside this machine; the alternative text tells what is there.
  const words = `Image: ${alt || "no description"}`;
  return el("span", { class: `${className} outside` }, safe ? link(safe, words) : words);
}

function choices(element, block, ctx, options, selected) {
  return options.map((option) => ({
    label: textObject(option.text, ctx), detail: option.description ? textObject(option.description, ctx) : null,
    choose: () => (option.url ? window.open(safeUrl(option.url) ?? "about:blank", "_blank", "noopener") : null,
      ctx.act(element, block, selected(option))),
  }));
}

const optionsOf = (element) => [...(element.options ?? []), ...(element.option_groups ?? []).flatMap((g) => g.options ?? [])];

function button(element, block, ctx) {
  const props = {
    class: `button ${["primary", "danger"].includes(element.style) ? element.style : ""}`, "aria-label": element.accessibility_label,
    "data-key": `${block.block_id ?? ""}/${element.action_id ?? ""}`,
  };
  const label = textObject(element.text, ctx);
  const url = element.url && safeUrl(element.url);
  if (url) {
    return el("a", { ...props, href: url, target: "_blank", rel: "noopener noreferrer", onclick: () => ctx.act(element, block, { value: element.value }) }, label);
  }
  return el("button", { ...props, type: "button", onclick: (event) => ctx.act(element, block, { value: element.value, label: element.text?.text }, event.currentTarget) }, label);
}

function people(element, ctx) {
  if (element.type.includes("users")) return ctx.users().map((u) => ({ text: { type: "plain_text", text: `@${u.name}`, emoji: false }, value: u.id, kind: "user" }));
  return ctx.channels().map((c) => ({ text: { type: "plain_text", text: `#${c.name}`, emoji: false }, value: c.id, kind: element.type.includes("conversations") ? "conversation" : "channel" }));
}

/** What is in `actions`, or beside a section. */
function interactive(element, block, ctx) {
  const key = { "data-key": `${block.block_id ?? ""}/${element.action_id ?? ""}` };
  switch (element.type) {
    case "button": case "workflow_button": return button(element, block, ctx);
    case "image": return image(element.image_url, element.alt_text, "thumb");
    case "overflow":
      return menuButton("More", choices(element, block, ctx, element.options ?? [], (o) => ({ value: o.value, selected_option: o })), { "aria-label": "More actions", ...key });
    case "static_select": case "external_select": {
      const now = element.initial_option ? textObject(element.initial_option.text, ctx) : textObject(element.placeholder, ctx);
      return menuButton(now.length ? now : "Choose", choices(element, block, ctx, optionsOf(element), (o) => ({ value: o.value, selected_option: o })), key);
    }
    case "users_select": case "conversations_select": case "channels_select":
      return menuButton(element.placeholder ? textObject(element.placeholder, ctx) : "Choose",
        choices(element, block, ctx, people(element, ctx), (o) => ({ value: o.value, [`selected_${o.kind}`]: o.value })), key);
    default:
      return field(element, ctx, { label: element.placeholder?.text ?? element.action_id ?? element.type, onchange: (value) => ctx.act(element, block, value) });
  }
}

const stack = (nodes) => el("div", { class: "block-body" }, nodes);

function section(block, ctx) {
  const body = stack([
    block.text ? el("div", { class: "text" }, textObject(block.text, ctx)) : null,
    block.fields ? el("div", { class: "fields" }, block.fields.map((f) => el("div", { class: "text" }, textObject(f, ctx)))) : null,
  ]);
  return el("div", { class: "block section" }, body, block.accessory ? el("div", { class: "accessory" }, interactive(block.accessory, block, ctx)) : null);
}

const RENDERERS = {
  header: (b) => el("h3", { class: "block header" }, plainText(b.text?.text, b.text?.emoji !== false)),
  section,
  divider: () => el("hr", { class: "block" }),
  context: (b, ctx) => el("div", { class: "block context" }, (b.elements ?? []).map((e) =>
    (e.type === "image" ? image(e.image_url, e.alt_text, "mini") : el("span", { class: "text" }, textObject(e, ctx))))),
  actions: (b, ctx) => el("div", { class: "block actions" }, (b.elements ?? []).map((e) => interactive(e, b, ctx))),
  image: (b) => el("figure", { class: "block" }, b.title ? el("figcaption", {}, plainText(b.title.text)) : null,
    image(b.image_url ?? b.slack_file?.url, b.alt_text, "picture")),
  markdown: (b) => el("div", { class: "block" }, markdown(b.text)),
  rich_text: (b, ctx) => el("div", { class: "block" }, richText(b, ctx)),
  table: (b, ctx) => el("div", { class: "block" }, table(b, ctx)),
  video: (b) => el("div", { class: "block" }, link(b.video_url ?? b.title_url ?? "", plainText(b.title?.text ?? "Video"))),
  input: (b, ctx) => ctx.input?.(b) ?? null,
};

export function renderBlocks(blocks, ctx) {
  return (blocks ?? []).map((block) => {
    const make = RENDERERS[block.type];
    return make ? make(block, ctx) : el("p", { class: "block muted" }, `A block of type ${block.type}; Slack would show it.`);
  });
}

export function renderAttachments(attachments, ctx) {
  return (attachments ?? []).map((a) => el("div", { class: "attachment" },
    a.pretext ? el("div", { class: "text" }, mrkdwn(a.pretext, ctx)) : null,
    a.title ? el("strong", {}, a.title_link ? link(a.title_link, a.title) : a.title) : null,
    a.text ? el("div", { class: "text" }, mrkdwn(a.text, ctx)) : null,
    a.fields ? el("div", { class: "fields" }, a.fields.map((f) => el("div", { class: "text" }, el("strong", {}, f.title ?? ""), "\n", mrkdwn(f.value ?? "", ctx)))) : null,
    renderBlocks(a.blocks, ctx), a.footer ? el("small", { class: "muted" }, a.footer) : null));
}
