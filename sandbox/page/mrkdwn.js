// Slack's mrkdwn and plain_text as DOM nodes. `ctx` names people and channels (see names.js).

import { el, link } from "./dom.js";
import { emoji } from "./emoji.js";
import { slackDate } from "./time.js";

/** Slack keeps &, < and > escaped in stored text; here is the one place that turns them back, into text nodes. */
export const unescape = (text) => text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");

const MARKS = { "*": "strong", _: "em", "~": "s" };
const EMOJI_AT = /:([a-z0-9_+-]{1,60}):(?::skin-tone-[2-6]:)?/y;
const ENTITY_AT = /<([^<>\n]+)>/y;
const URL_AT = /https?:\/\/[^\s<>|"'`]+[^\s<>|"'`.,;:!?)\]}]/y;
const isWord = (c) => c !== undefined && /[\p{L}\p{N}]/u.test(c);
const isSpace = (c) => c === undefined || /\s/.test(c);

function at(regex, text, index) {
  regex.lastIndex = index;
  return regex.exec(text);
}

function emojiNode(name) {
  const sign = emoji(name);
  return sign ? el("span", { class: "emoji", role: "img", "aria-label": name.replaceAll("_", " "), title: `:${name}:` }, sign) : null;
}

export function mention(ctx, id, fallback) {
  const person = ctx.user(id);
  return el("span", { class: id === ctx.viewerId ? "mention me" : "mention" }, `@${person ? person.name : fallback || id}`);
}

export function channelLink(ctx, id, fallback) {
  const channel = ctx.channel(id);
  if (!channel) return el("span", { class: "mention" }, `#${fallback || id}`);
  return el("button", { type: "button", class: "mention as-link", onclick: () => ctx.openChannel(channel.id) }, `#${channel.name}`);
}

function entity(body, ctx) {
  const bar = body.indexOf("|");
  const target = bar < 0 ? body : body.slice(0, bar);
  const label = bar < 0 ? "" : unescape(body.slice(bar + 1));
  if (target.startsWith("@")) return mention(ctx, target.slice(1), label);
  if (target.startsWith("#")) return channelLink(ctx, target.slice(1), label);
  if (target.startsWith("!date^")) {
    const [, seconds, format = "", href] = target.split("^");
    const text = /^\d+$/.test(seconds) ? slackDate(Number(seconds), unescape(format)) : label;
    const node = el("time", { title: label || null, class: "date" }, text || label);
    return href ? link(unescape(href), node) : node;
  }
  if (target.startsWith("!subteam^")) return el("span", { class: "mention" }, label || `@${target.slice(9)}`);
  if (/^!(here|channel|everyone)$/.test(target)) return el("span", { class: "mention me" }, `@${target.slice(1)}`);
  if (target.startsWith("!")) return el("span", {}, label || `<${target}>`);
  const url = unescape(target);
  return link(url, label || url.replace(/^mailto:/, ""));
}

/** The index of the mark that closes the one at `start`, or -1. It must hug its text as Slack demands. */
function closing(text, start) {
  const mark = text[start];
  for (let i = start + 2; i < text.length; i += 1) {
    if (text[i] === "<") {
      const found = at(ENTITY_AT, text, i);
      if (found) i += found[0].length - 1;
    } else if (text[i] === mark && !isSpace(text[i - 1]) && !isWord(text[i + 1]) && text[i + 1] !== mark) return i;
  }
  return -1;
}

/** One line of mrkdwn as a list of nodes and strings. `used`: marks that are open around it. */
function inline(text, ctx, used = "") {
  const out = [];
  const hopeless = new Set();
  let plain = "";
  const flush = () => { if (plain) out.push(unescape(plain)); plain = ""; };
  const push = (node, length) => { flush(); out.push(node); return length; };
  for (let i = 0; i < text.length;) {
    const c = text[i];
    let step = 0;
    if (c === "`") {
      const end = text.indexOf("`", i + 1);
      if (end > i + 1) step = push(el("code", {}, unescape(text.slice(i + 1, end))), end + 1 - i);
    } else if (c === "<") {
      const found = at(ENTITY_AT, text, i);
      if (found) step = push(entity(found[1], ctx), found[0].length);
    } else if (c === ":") {
      const found = at(EMOJI_AT, text, i);
      const node = found && emojiNode(found[1]);
      if (node) step = push(node, found[0].length);
    } else if (c in MARKS && !used.includes(c) && !hopeless.has(c) && !isWord(text[i - 1]) && !isSpace(text[i + 1])) {
      const end = closing(text, i);
      if (end < 0) hopeless.add(c);
      else step = push(el(MARKS[c], {}, inline(text.slice(i + 1, end), ctx, used + c)), end + 1 - i);
    } else if (c === "h" && !isWord(text[i - 1])) {
      const found = at(URL_AT, text, i);
      if (found) step = push(link(unescape(found[0]), unescape(found[0])), found[0].length);
    }
    if (step) i += step;
    else { plain += c; i += 1; }
  }
  flush();
  return out;
}

function prose(text, ctx) {
  const out = [];
  let quote = null;
  let rest = false;
  const lines = text.split("\n");
  lines.forEach((line, index) => {
    const found = rest ? null : /^(?:&gt;|>)(&gt;&gt;|>>)?\s?/.exec(line);
    if (found?.[1]) rest = true;
    if (found || rest) {
      if (!quote) out.push(quote = el("blockquote"));
      else quote.append("\n");
      quote.append(...inline(found ? line.slice(found[0].length) : line, ctx));
    } else {
      // A blockquote is a box of its own: the newline after it is already there.
      out.push(...inline(line, ctx));
      if (index < lines.length - 1) out.push("\n");
      quote = null;
    }
  });
  return out;
}

export function mrkdwn(text, ctx) {
  const parts = String(text ?? "").split("```");
  if (parts.length % 2 === 0) {
    // The last fence is never closed: it is text.
    const tail = parts.pop();
    parts[parts.length - 1] += `\`\`\`${tail}`;
  }
  return parts.map((part, i) => (i % 2 ? el("pre", {}, el("code", {}, unescape(part.replace(/^\n|\n$/g, ""))))
    : prose(i ? part.replace(/^\n/, "") : part, ctx)));
}

/** plain_text: no marks, but shortcodes unless the object says emoji: false. */
export function plainText(text, allowEmoji = true) {
  if (!allowEmoji) return [unescape(String(text ?? ""))];
  return unescape(String(text ?? "")).split(/(:[a-z0-9_+-]{1,60}:)/).map((part) =>
    (part.length > 2 && part.startsWith(":") ? emojiNode(part.slice(1, -1)) ?? part : part));
}

/** A text object, or a bare string (taken as plain text). */
export function textObject(object, ctx) {
  if (!object) return [];
  if (typeof object === "string") return plainText(object);
  if (object.type === "mrkdwn") return mrkdwn(object.text, ctx);
  return plainText(object.text, object.emoji !== false);
}

export { emojiNode };
