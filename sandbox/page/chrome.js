// What stands around the messages: the lists of channels and the bar of bookmarks, pins and files.

import { byId, el, fill, link } from "./dom.js";
import { menuButton } from "./menu.js";
import { plainText } from "./mrkdwn.js";
import { channelTitle, displayName, listOf } from "./names.js";
import { clock } from "./time.js";

function entry(channel, current, person, ctx, session, openChannel) {
  const unread = session.unread(channel, person.id);
  const title = channelTitle(channel, ctx);
  const here = channel.id === current.id;
  const sign = channel.is_im ? "@" : channel.is_private ? "\u{1F512}\uFE0E" : "#";
  const extra = [channel.is_private && !channel.is_im ? "private" : "", channel.is_archived ? "archived" : "", unread ? `${unread} unread` : ""].filter(Boolean).join(", ");
  return el("li", {}, el("button", {
    type: "button", class: `channel${unread ? " unread" : ""}${here ? " here" : ""}`, "aria-current": here ? "page" : null, "data-channel": channel.id,
    "aria-label": extra ? `${title}, ${extra}` : title, onclick: () => openChannel(channel.id),
  }, el("span", { class: "sign", "aria-hidden": "true" }, sign), el("span", { class: "name" }, title), unread ? el("span", { class: "count", "aria-hidden": "true" }, unread > 99 ? "99+" : String(unread)) : null));
}

let before = "";

/** Draws the lists, only when something in them changed: the focus stays where it is. */
export function drawLists(seen, current, person, ctx, session, openChannel) {
  const key = JSON.stringify([person.id, current.id, ...[...seen.open, ...seen.dms, ...seen.archived].map((c) => [c.id, c.name, c.is_archived, session.unread(c, person.id)])]);
  if (key === before) return;
  before = key;
  const focused = document.activeElement?.dataset?.channel;
  for (const [id, list] of [["channels", seen.open], ["dms", seen.dms], ["archived", seen.archived]]) {
    fill(byId(id), list.map((c) => entry(c, current, person, ctx, session, openChannel)));
  }
  if (!seen.dms.length) fill(byId("dms"), el("li", { class: "none" }, "None yet"));
  byId("archived-box").hidden = !seen.archived.length;
  if (focused) byId("sidebar").querySelector(`[data-channel="${CSS.escape(focused)}"]`)?.focus();
}

function pinLabel(pin, room, ctx) {
  const ts = pin.ts ?? pin.message?.ts ?? pin;
  const message = listOf(room.messages).find((m) => m.ts === ts) ?? pin.message ?? {};
  const text = plainText(message.text ?? "", false).join("").slice(0, 80) || "message";
  return { ts, label: text, detail: `${displayName(ctx.user(message.user))}, ${clock(Number(ts))}` };
}

let barBefore = "";

export function drawChannelBar(bar, room, ctx, { openFile, jumpTo }) {
  const pins = listOf(room.pins).map((p) => pinLabel(p, room, ctx));
  const files = listOf(room.files);
  const bookmarks = listOf(room.bookmarks);
  const key = JSON.stringify([room.id, pins, files, bookmarks]);
  if (key === barBefore) return;
  barBefore = key;
  bar.hidden = !(pins.length || files.length || bookmarks.length);
  fill(bar,
    bookmarks.map((b) => el("span", { class: "bookmark" }, link(b.link ?? "", plainText(b.title ?? b.link ?? "bookmark")))),
    pins.length ? menuButton(`Pinned: ${pins.length}`, pins.map((p) => ({ label: p.label, detail: p.detail, choose: () => jumpTo(p.ts) }))) : null,
    files.length ? menuButton(`Files: ${files.length}`, files.map((f) => ({ label: f.title || f.name || f.id, detail: f.size ? `${f.size} bytes` : "", choose: () => openFile(f) }))) : null);
}
