// The page: fetches the workspace's state at every change and draws it for one person in one channel.

import { announce, byId, el, fill, toast } from "./dom.js";
import * as api from "./api.js";
import * as actions from "./actions.js";
import { Composer, offered } from "./composer.js";
import { Modal } from "./dialogs.js";
import { plainText } from "./mrkdwn.js";
import { openFile, renderList, thread, timeline } from "./messages.js";
import { channelTitle, displayName, isBot, listOf, memberIds, names, visibleChannels } from "./names.js";
import { Session } from "./session.js";
import { drawChannelBar, drawLists } from "./chrome.js";
import { World } from "./world.js";

const session = new Session();
const world = new World();
const caches = { main: new Map(), thread: new Map() };
let state = { channels: [], users: [], views: [] };
let composer = null;
let threadPane = null;
let drawn = { place: "", last: "" };

const viewer = () => session.viewer(state);
const channel = () => session.channel(state);

function context() {
  const person = viewer();
  const room = channel();
  const files = new Map(listOf(room?.files).map((f) => [f.id ?? f, f]));
  const pins = new Set(listOf(room?.pins).map((p) => p.ts ?? p.message?.ts ?? p));
  return {
    ...names(state, person?.id, openChannel),
    namesKey: listOf(state.users).length + listOf(state.channels).length,
    file: (id) => files.get(id) ?? null,
    isPinned: (ts) => pins.has(ts),
    openThread,
    dismiss: (message) => { session.dismissed.push(`${room.id}/${message.ts}`); draw(); },
    react: (message, name) => actions.react(viewer(), channel(), message, name),
    act: (message, element, block, choice, node) => actions.act(viewer(), { channel: channel().id, ts: message.ts }, element, block, choice, node, context()),
  };
}

function openChannel(id) {
  const target = listOf(state.channels).find((c) => c.id === id);
  if (!target) return;
  session.drafts[session.channelName] = composer.text;
  session.channelName = target.is_im ? target.id : target.name;
  composer.text = session.drafts[session.channelName] ?? "";
  closeThread();
  document.body.classList.remove("menu-open");
  byId("menu-button").setAttribute("aria-expanded", "false");
  draw();
  composer.input.focus();
}

function openThread(ts) {
  session.threadTs = ts;
  caches.thread.clear();
  const list = el("div", { class: "messages", role: "log", "aria-live": "off", "aria-label": "Messages of the thread", tabindex: "0" });
  const form = el("form", { class: "composer", "aria-label": "Reply in the thread" });
  const box = new Composer(form, { label: "Reply in the thread", slash: false, send: (text) => send(text, ts) });
  threadPane = { list, box };
  showSide("Thread", [list, form], "thread");
  draw();
  box.input.focus();
}

function closeThread() {
  if (!threadPane) return;
  session.threadTs = null;
  threadPane = null;
  hideSide();
}

function showSide(title, children, kind) {
  const side = byId("side");
  side.dataset.kind = kind;
  side.setAttribute("aria-label", title);
  fill(side, el("div", { class: "side-head" }, el("h2", {}, title), el("button", { type: "button", class: "quiet", onclick: () => closeSide(), "aria-label": `Close ${title.toLowerCase()}` }, "Close")), children);
  side.hidden = false;
  document.body.classList.add("side-open");
  byId("world-button").setAttribute("aria-expanded", String(kind === "world"));
}

function hideSide() {
  byId("side").hidden = true;
  document.body.classList.remove("side-open");
  byId("world-button").setAttribute("aria-expanded", "false");
}

function closeSide() {
  const wasThread = Boolean(threadPane);
  closeThread();
  hideSide();
  (wasThread ? composer.input : byId("world-button")).focus();
}

function toggleWorld() {
  const side = byId("side");
  if (!side.hidden && side.dataset.kind === "world") { closeSide(); return; }
  closeThread();
  showSide("World", world.node, "world");
  world.refresh();
}

const worldIsOpen = () => !byId("side").hidden && byId("side").dataset.kind === "world";

const send = (text, threadTs = null) => actions.send(text, { viewer: viewer(), channel: channel(), threadTs });

const modal = new Modal({
  act: (element, block, choice, node) => actions.act(viewer(), { view_id: modal.view?.id }, element, block, choice, node, context()),
  submit: async (view, values) => {
    const errors = await actions.submit(viewer(), view, values);
    await refresh();
    return errors;
  },
  close: async (view) => {
    try { await api.closeView({ user: viewer().id, view_id: view.id }); } catch (error) { toast(error.message); }
    await refresh();
  },
});

function ownView(person) {
  const mine = listOf(state.views).filter((v) => (v.user ?? v.user_id) === person.id && (v.type ?? v.view?.type ?? "modal") !== "home");
  const last = mine.at(-1);
  return last ? last.view ?? last : null;
}

function drawHead(room, person, ctx) {
  const title = channelTitle(room, ctx);
  fill(byId("channel-name"), room.is_im ? title : `${room.is_private ? "Private: " : "# "}${title}`);
  const count = memberIds(room).length;
  const inside = room.is_im || memberIds(room).includes(person.id);
  fill(byId("channel-members"), room.is_im ? "Direct message" : [`${count} ${count === 1 ? "member" : "members"}`, inside ? "" : ", you are not one", room.is_archived ? ", archived" : ""].join(""));
  byId("channel-members").title = memberIds(room).map((id) => ctx.user(id)?.name ?? id).join(", ");
  const topic = typeof room.topic === "object" ? room.topic?.value : room.topic;
  fill(byId("channel-topic"), plainText(topic ?? ""));
  byId("channel-topic").hidden = !topic;
  drawChannelBar(byId("channel-bar"), room, ctx, { openFile, jumpTo });
  composer.label = room.is_archived ? "This channel is archived" : `Message ${room.is_im ? title : `#${title}`}, or / for a command`;
  if (state.commands) composer.commands = offered(state.commands);
  composer.input.disabled = Boolean(room.is_archived);
  document.title = `${room.is_im ? title : `#${title}`} - Sandbox Slack`;
}

function jumpTo(ts) {
  const node = byId("messages").querySelector(`[data-ts="${CSS.escape(ts)}"]`);
  if (!node) { openThread(ts); return; }
  node.scrollIntoView({ block: "center" });
  node.classList.add("flash");
  setTimeout(() => node.classList.remove("flash"), 2000);
}

function drawMessages(room, person, ctx) {
  const list = byId("messages");
  const place = `${person.id}/${room.id}`;
  const moved = place !== drawn.place;
  const atEnd = moved || list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  if (moved) caches.main.clear();
  const lines = timeline(room, person.id, session.dismissed);
  renderList(list, lines, ctx, caches.main);
  if (!lines.length) fill(list, el("p", { class: "muted empty" }, "Nothing here yet."));
  const last = lines.at(-1)?.ts ?? "";
  const fresh = !moved && last > drawn.last;
  if (atEnd) list.scrollTop = list.scrollHeight;
  byId("jump").hidden = atEnd || !(fresh || !byId("jump").hidden);
  if (fresh) lines.filter((m) => m.ts > drawn.last && m.user !== person.id).slice(-1).forEach((m) => announce(`${displayName(ctx.user(m.user) ?? { name: m.username })}: ${plainText(m.text ?? "", false).join("").slice(0, 300)}`));
  drawn = { place, last: last > drawn.last || moved ? last : drawn.last };
}

function drawThread(room, person, ctx) {
  if (!threadPane) return;
  const lines = thread(room, person.id, session.threadTs, session.dismissed);
  const { list } = threadPane;
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  renderList(list, lines, { ...ctx, openThread: null }, caches.thread);
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function drawViewer(person) {
  const select = byId("viewer");
  const people = listOf(state.users).filter((u) => !isBot(u)).map((u) => u.name);
  if ([...select.options].map((o) => o.value).join() !== people.join()) fill(select, people.map((name) => el("option", { value: name }, name)));
  if (select.value !== person.name) select.value = person.name;
}

function draw() {
  const person = viewer();
  const room = channel();
  if (!person || !room) return;
  const ctx = context();
  drawViewer(person);
  drawHead(room, person, ctx);
  drawMessages(room, person, ctx);
  drawThread(room, person, ctx);
  if (!document.hidden) session.markRead(room, person.id);
  drawLists(visibleChannels(state, person.id), room, person, ctx, session, openChannel);
  modal.render(ownView(person), ctx);
  const hint = byId("hint");
  hint.hidden = !state.hint;
  fill(hint, el("strong", {}, "Try next: "), plainText(state.hint ?? ""));
  session.save();
}

let running = null;
let again = false;

async function fetchAndDraw() {
  do {
    again = false;
    try {
      state = await api.state();
      draw();
    } catch (error) {
      fill(byId("channel-members"), error.message);
      // A fault of the page itself belongs in the console, where its place can be seen.
      if (error.name !== "Error") console.error(error);
    }
  } while (again);
}

/** Brings the page up to date. One question at a time: in a storm of changes each answer is still drawn. */
async function refresh() {
  if (running) again = true;
  else running = fetchAndDraw().finally(() => { running = null; });
  await running;
}

function escape(event) {
  if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open], .menu-list")) return;
  if (document.body.classList.contains("menu-open")) byId("menu-button").click();
  else if (!byId("side").hidden) closeSide();
}

function wire() {
  composer = new Composer(byId("composer"), { inputId: "composer-input", label: "Message", send: (text) => send(text) });
  byId("viewer").addEventListener("change", (event) => {
    session.viewerName = event.target.value;
    closeThread();
    const person = viewer();
    const seen = visibleChannels(state, person.id);
    if (![...seen.open, ...seen.archived, ...seen.dms].some((c) => c.id === channel()?.id)) session.channelName = "incidents";
    draw();
  });
  byId("world-button").addEventListener("click", toggleWorld);
  byId("menu-button").addEventListener("click", () => byId("menu-button").setAttribute("aria-expanded", String(document.body.classList.toggle("menu-open"))));
  const list = byId("messages");
  const toEnd = () => { list.scrollTop = list.scrollHeight; byId("jump").hidden = true; };
  byId("jump").addEventListener("click", toEnd);
  list.addEventListener("scroll", () => { if (list.scrollHeight - list.scrollTop - list.clientHeight < 80) byId("jump").hidden = true; });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) draw(); });
  document.addEventListener("keydown", escape);
  window.addEventListener("hashchange", () => {
    const hash = new URLSearchParams(location.hash.slice(1));
    session.viewerName = hash.get("as") ?? session.viewerName;
    session.channelName = hash.get("channel") ?? session.channelName;
    draw();
  });
  setInterval(() => { if (worldIsOpen() && !document.hidden) world.refresh(); }, 2000);
}

wire();
await refresh();
api.watch(refresh);
if (window.matchMedia("(min-width: 1100px)").matches) toggleWorld();
