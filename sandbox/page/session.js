// What belongs to the person at the screen, not to the workspace: who they are, where they look, what they have read.

import { listOf, memberIds } from "./names.js";

const STORE = "sandbox-page";

function load() {
  try { return JSON.parse(sessionStorage.getItem(STORE)) ?? {}; } catch { return {}; }
}

export class Session {
  constructor() {
    const hash = new URLSearchParams(location.hash.slice(1));
    const kept = load();
    this.viewerName = hash.get("as") ?? kept.viewerName ?? "alice";
    this.channelName = hash.get("channel") ?? kept.channelName ?? "incidents";
    this.read = kept.read ?? {};
    this.threadTs = null;
    this.dismissed = [];
    this.drafts = {};
  }

  save() {
    sessionStorage.setItem(STORE, JSON.stringify({ viewerName: this.viewerName, channelName: this.channelName, read: this.read }));
    const wanted = `#${new URLSearchParams({ channel: this.channelName, as: this.viewerName })}`;
    if (location.hash !== wanted) history.replaceState(null, "", wanted);
  }

  viewer(state) {
    const users = listOf(state.users);
    return users.find((u) => u.name === this.viewerName || u.id === this.viewerName) ?? users.find((u) => !u.is_bot && u.name !== "streamwatch") ?? null;
  }

  channel(state) {
    const wanted = this.channelName;
    const all = listOf(state.channels);
    return all.find((c) => c.id === wanted || (!c.is_im && c.name === wanted)) ?? all.find((c) => c.name === "incidents") ?? all[0] ?? null;
  }

  /** How many messages of others came since this person last looked. */
  unread(channel, viewerId) {
    if (!channel.is_im && !memberIds(channel).includes(viewerId)) return 0;
    const since = this.read[`${viewerId}/${channel.id}`] ?? "0";
    const fresh = (m) => m.ts > since && m.user !== viewerId;
    return listOf(channel.messages).filter(fresh).length + listOf(channel.ephemerals).filter((e) => e.user === viewerId && e.ts > since).length;
  }

  markRead(channel, viewerId) {
    const stamps = [...listOf(channel.messages), ...listOf(channel.ephemerals)].map((m) => m.ts);
    const last = stamps.reduce((a, b) => (a > b ? a : b), "0");
    this.read[`${viewerId}/${channel.id}`] = last;
  }
}
