// rich_text and table blocks as DOM nodes.

import { append, el, link } from "./dom.js";
import { channelLink, emojiNode, mention } from "./mrkdwn.js";
import { slackDate } from "./time.js";

function styled(node, style = {}) {
  let out = node;
  for (const [name, tag] of [["code", "code"], ["strike", "s"], ["italic", "em"], ["bold", "strong"], ["underline", "u"]]) {
    if (style[name]) out = el(tag, {}, out);
  }
  return out;
}

function leaf(part, ctx) {
  switch (part.type) {
    case "text": return styled(document.createTextNode(part.text ?? ""), part.style);
    case "link": return styled(link(part.url, part.text || part.url), part.style);
    case "user": return styled(mention(ctx, part.user_id), part.style);
    case "channel": return styled(channelLink(ctx, part.channel_id), part.style);
    case "usergroup": return el("span", { class: "mention" }, `@${part.usergroup_id}`);
    case "broadcast": return el("span", { class: "mention me" }, `@${part.range}`);
    case "emoji": return emojiNode(part.name) ?? `:${part.name}:`;
    case "date": return el("time", {}, slackDate(part.timestamp, part.format ?? "{date} {time}"));
    case "color": return el("code", {}, part.value);
    default: return part.text ?? "";
  }
}

function part(block, ctx) {
  const inner = () => (block.elements ?? []).map((child) => leaf(child, ctx));
  switch (block.type) {
    case "rich_text_preformatted": return el("pre", {}, el("code", {}, inner()));
    case "rich_text_quote": return el("blockquote", {}, inner());
    case "rich_text_list":
      return el(block.style === "ordered" ? "ol" : "ul", { start: block.offset ? block.offset + 1 : null, class: `depth-${Math.min(3, block.indent ?? 0)}` },
        (block.elements ?? []).map((item) => el("li", {}, (item.elements ?? []).map((child) => leaf(child, ctx)))));
    default: return el("div", {}, inner());
  }
}

export const richText = (block, ctx) => el("div", { class: "rich" }, (block.elements ?? []).map((child) => part(child, ctx)));

function cell(content, ctx) {
  if (content?.type === "rich_text") return richText(content, ctx);
  return String(content?.text ?? content?.value ?? "");
}

export function table(block, ctx) {
  const [head = [], ...rows] = block.rows ?? [];
  const align = (i) => (block.column_settings?.[i]?.align === "right" ? "right" : null);
  const row = (line, tag) => append(el("tr"), line.map((c, i) => el(tag, { class: align(i), scope: tag === "th" ? "col" : null }, cell(c, ctx))));
  return el("div", { class: "table-box", tabindex: "0", role: "region", "aria-label": "Table" },
    el("table", {}, el("thead", {}, row(head, "th")), el("tbody", {}, rows.map((line) => row(line, "td")))));
}
