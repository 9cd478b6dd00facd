// Messages of a channel or a thread as DOM nodes, and a keyed list that keeps unchanged nodes (and the focus) in place.

import { el, toast } from "./dom.js";
import { renderAttachments, renderBlocks } from "./blocks.js";
import { emojiNode, mrkdwn } from "./mrkdwn.js";
import { displayName, idOf, isBot, listOf } from "./names.js";
import { ago, clock, day } from "./time.js";
import * as api from "./api.js";
import { preview } from "./dialogs.js";

const QUICK = [["pushpin", "Put on the timeline (pushpin)", "Pushpin"], ["eyes", "React with eyes", "Eyes"], ["+1", "React with thumbs up", "Thumbs up"]];
// An ephemeral message carries the person who sees it as `user`; where no sender is told, the app wrote it.
const APP_USER = "U0STREAMWATCH";
const SYSTEM = new Set(["channel_join", "channel_leave", "channel_topic", "channel_purpose", "channel_name", "channel_archive", "channel_unarchive", "group_join", "group_topic", "bot_add", "pinned_item"]);

const senderOf = (message, ctx) => ctx.user(message.user) ?? ctx.user(message.bot_id) ?? null;

function avatar(name, bot) {
  return el("span", { class: bot ? "avatar bot" : "avatar", "aria-hidden": "true" }, (name || "?").slice(0, 1).toUpperCase());
}

export async function openFile(file) {
  try {
    const text = await api.fileText(file.id);
    preview(file.title || file.name || file.id, text.slice(0, 200000), api.fileUrl(file.id));
  } catch (error) {
    toast(error.message);
  }
}

function fileCard(file, ctx) {
  const known = typeof file === "string" ? ctx.file(file) ?? { id: file } : { ...ctx.file(file.id), ...file };
  const name = known.title || known.name || known.id;
  const image = String(known.mimetype ?? "").startsWith("image/");
  return el("div", { class: "file" }, image ? el("img", { src: api.fileUrl(known.id), alt: known.alt_txt || name, class: "picture", loading: "lazy" }) : null,
    el("span", {}, el("strong", {}, name), " ", el("small", { class: "muted" }, known.size ? `${known.size.toLocaleString("en")} bytes` : "file")),
    image ? null : el("button", { type: "button", class: "button", onclick: () => openFile(known), "aria-label": `Read ${name}` }, "Read"),
    el("a", { class: "button", href: api.fileUrl(known.id), download: known.name || name, "aria-label": `Download ${name}` }, "Download"));
}

function reactions(message, ctx) {
  const list = listOf(message.reactions);
  if (!list.length) return null;
  return el("div", { class: "reactions" }, list.map((r) => {
    const who = (r.users ?? []).map((id) => ctx.user(id)?.name ?? id).join(", ");
    return el("button", { type: "button", class: "reaction", "data-key": `r/${r.name}`, "aria-label": `${r.name}, ${r.count ?? r.users?.length ?? 1}: ${who}. ${r.users?.includes(ctx.viewerId) ? "Take yours back" : "React too"}`, title: who, onclick: () => ctx.react(message, r.name) },
      emojiNode(r.name) ?? `:${r.name}:`, ` ${r.count ?? r.users?.length ?? 1}`);
  }));
}

function metadata(message) {
  if (!message.metadata || !Object.keys(message.metadata).length) return null;
  return el("details", { class: "metadata" }, el("summary", {}, "Details"),
    el("pre", {}, el("code", {}, JSON.stringify(message.metadata, null, 2))));
}

function threadButton(message, ctx) {
  const { count, last } = message.replies;
  if (!count || !ctx.openThread) return null;
  return el("button", { type: "button", class: "replies", "data-key": "thread", onclick: () => ctx.openThread(message.ts) },
    `${count} ${count === 1 ? "reply" : "replies"}`, el("span", { class: "muted" }, ` last ${clock(Number(last))}`));
}

function tools(message, ctx) {
  if (message.ephemeral) return null;
  return el("div", { class: "tools", role: "group", "aria-label": "Actions on this message" },
    QUICK.map(([name, label, word]) => el("button", { type: "button", "data-key": `q/${name}`, title: label, "aria-label": label, onclick: () => ctx.react(message, name) }, word)),
    ctx.openThread ? el("button", { type: "button", "data-key": "reply", onclick: () => ctx.openThread(message.thread_ts ?? message.ts) }, "Reply in thread") : null);
}

function body(message, ctx) {
  const blocks = message.blocks?.length ? renderBlocks(message.blocks, ctx) : [];
  // Where there are blocks, Slack shows them alone; the text is what screen readers and notifications get.
  if (blocks.length) return el("div", { class: "blocks" }, blocks);
  return message.text ? el("div", { class: "text" }, mrkdwn(message.text, ctx)) : null;
}

function renderMessage(message, base) {
  const sender = senderOf(message, base);
  const slackbot = message.user === "USLACKBOT";
  const name = message.username || (slackbot ? "Slackbot" : displayName(sender));
  const bot = isBot(sender) || Boolean(message.bot_id) || slackbot;
  const ctx = { ...base, act: (element, block, choice, node) => base.act(message, element, block, choice, node) };
  if (SYSTEM.has(message.subtype)) {
    return el("article", { class: "message system", "data-ts": message.ts }, el("span", { class: "text" }, String(message.text ?? "").startsWith(`<@${message.user}`) ? null : [el("strong", {}, name), " "], mrkdwn(message.text, ctx)), el("time", {}, ` ${clock(Number(message.ts))}`));
  }
  const pinned = base.isPinned(message.ts);
  return el("article", { class: `message${message.ephemeral ? " ephemeral" : ""}${pinned ? " pinned" : ""}`, "data-ts": message.ts, "aria-label": `${name} at ${clock(Number(message.ts))}` },
    avatar(name, bot),
    el("div", { class: "message-main" },
      message.ephemeral ? el("p", { class: "only-you" }, "Only visible to you", base.dismiss ? el("button", { type: "button", class: "quiet small", onclick: () => base.dismiss(message) }, "Dismiss") : null) : null,
      pinned ? el("p", { class: "only-you" }, "Pinned") : null,
      el("p", { class: "sender" }, el("strong", {}, name), bot ? el("span", { class: "badge" }, "APP") : null, el("time", { title: `${ago(Number(message.ts))}, ts ${message.ts}` }, clock(Number(message.ts), true)), message.edited ? el("span", { class: "muted small" }, "(edited)") : null),
      body(message, ctx), renderAttachments(message.attachments, ctx), (message.files ?? []).map((f) => fileCard(f, ctx)),
      reactions(message, ctx), metadata(message), threadButton(message, ctx)),
    tools(message, ctx));
}

/** One message that cannot be drawn must not take the others with it. */
function renderSafely(message, ctx) {
  try {
    return renderMessage(message, ctx);
  } catch (error) {
    console.error(error);
    return el("article", { class: "message system", "data-ts": message.ts }, `This message cannot be shown: ${message.text ?? ""}`);
  }
}

const dayOf = (message) => day(Number(message.ts));

function focusKey(list) {
  const active = document.activeElement;
  const article = active?.closest?.("[data-ts]");
  return article && list.contains(article) ? { ts: article.dataset.ts, key: active.dataset.key } : null;
}

/** Fills `list` with `messages` (oldest first), reusing every node whose message and surroundings are the same. */
export function renderList(list, messages, ctx, cache) {
  const focus = focusKey(list);
  const wanted = [];
  const fresh = new Map();
  let lastDay = "";
  for (const message of messages) {
    if (dayOf(message) !== lastDay) {
      lastDay = dayOf(message);
      wanted.push(cache.get(`day ${lastDay}`)?.node ?? el("p", { class: "day" }, el("span", {}, lastDay)));
      fresh.set(`day ${lastDay}`, { node: wanted.at(-1) });
    }
    const id = `${message.ephemeral ? "e" : "m"}${message.ts}`;
    const key = JSON.stringify([message, ctx.viewerId, ctx.isPinned(message.ts), ctx.namesKey]);
    const before = cache.get(id);
    const entry = before?.key === key ? before : { key, node: renderSafely(message, ctx) };
    const details = before && before !== entry && before.node.querySelector("details[open]");
    if (details) entry.node.querySelector("details")?.setAttribute("open", "");
    fresh.set(id, entry);
    wanted.push(entry.node);
  }
  place(list, wanted);
  cache.clear();
  for (const [id, entry] of fresh) cache.set(id, entry);
  if (focus && !list.contains(document.activeElement) && focus.key) {
    list.querySelector(`[data-ts="${CSS.escape(focus.ts)}"] [data-key="${CSS.escape(focus.key)}"]`)?.focus();
  }
}

function place(list, wanted) {
  const keep = new Set(wanted);
  for (const child of [...list.children]) if (!keep.has(child)) child.remove();
  wanted.forEach((node, index) => { if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null); });
}

/** The messages of a channel for one person: channel messages, own ephemerals, in order, with reply counts. */
export function timeline(channel, viewerId, dismissed) {
  const all = listOf(channel.messages);
  const replies = new Map();
  for (const m of all) {
    if (m.thread_ts && m.thread_ts !== m.ts) replies.set(m.thread_ts, { count: (replies.get(m.thread_ts)?.count ?? 0) + 1, last: m.ts });
  }
  const top = all.filter((m) => !m.thread_ts || m.thread_ts === m.ts || m.subtype === "thread_broadcast")
    .map((m) => ({ ...m, replies: replies.get(m.ts) ?? { count: 0, last: m.ts } }));
  return sorted([...top, ...privately(channel, viewerId, dismissed, null)]);
}

export function thread(channel, viewerId, parentTs, dismissed) {
  const all = listOf(channel.messages).filter((m) => m.ts === parentTs || m.thread_ts === parentTs);
  return sorted([...all.map((m) => ({ ...m, replies: { count: 0 } })), ...privately(channel, viewerId, dismissed, parentTs)]);
}

function privately(channel, viewerId, dismissed, threadTs) {
  const mine = listOf(channel.ephemerals).filter((e) => idOf(e.user) === viewerId);
  const hidden = new Set(dismissed);
  return mine.map((e) => ({ ...e, user: e.sender ?? APP_USER }))
    .filter((e) => !hidden.has(`${channel.id}/${e.ts}`) && (e.thread_ts ?? null) === threadTs)
    .map((e) => ({ ...e, ephemeral: true, replies: { count: 0 } }));
}

const sorted = (list) => list.sort((a, b) => (a.ts < b.ts ? -1 : a.ts > b.ts ? 1 : 0));
