// Names for ids: the part of the state that text needs. Tolerates lists of ids and lists of objects.

export const idOf = (item) => (typeof item === "string" ? item : item?.id ?? item?.user ?? item?.ts ?? "");

export function listOf(value) {
  if (Array.isArray(value)) return value;
  return value && typeof value === "object" ? Object.values(value) : [];
}

export const isBot = (user) => Boolean(user?.is_bot || user?.bot_id);

export function names(state, viewerId, openChannel) {
  const users = new Map(listOf(state.users).map((u) => [u.id, u]));
  const channels = new Map(listOf(state.channels).map((c) => [c.id, c]));
  const byBot = new Map(listOf(state.users).filter(isBot).flatMap((u) => [u.bot_id, u.profile?.bot_id].filter(Boolean).map((b) => [b, u])));
  return {
    viewerId,
    openChannel,
    user: (id) => users.get(id) ?? byBot.get(id) ?? null,
    channel: (id) => channels.get(id) ?? null,
    users: () => [...users.values()].filter((u) => !isBot(u)),
    channels: () => [...channels.values()].filter((c) => !c.is_im && !c.is_archived),
  };
}

export const displayName = (user) => user?.real_name || user?.profile?.display_name || user?.name || "someone";

export function memberIds(channel) {
  return (channel?.members ?? []).map(idOf);
}

/** The title of a channel as this person sees it. */
export function channelTitle(channel, ctx) {
  if (!channel) return "";
  if (!channel.is_im) return channel.name;
  const other = [channel.user, ...memberIds(channel)].find((id) => id && id !== ctx.viewerId && ctx.user(id) && isBot(ctx.user(id)))
    ?? [channel.user, ...memberIds(channel)].find((id) => id && id !== ctx.viewerId);
  return displayName(ctx.user(other)) === "someone" ? "streamwatch" : ctx.user(other).name;
}

/** What this person may see, in Slack's order: open channels, own direct messages, archived ones. */
export function visibleChannels(state, viewerId) {
  const mine = (c) => c.user === viewerId || memberIds(c).includes(viewerId);
  const all = listOf(state.channels);
  const rooms = all.filter((c) => !c.is_im && (!c.is_private || mine(c)));
  const byName = (a, b) => String(a.name).localeCompare(String(b.name));
  return {
    open: rooms.filter((c) => !c.is_archived).sort(byName),
    archived: rooms.filter((c) => c.is_archived).sort(byName),
    dms: all.filter((c) => c.is_im && mine(c)),
  };
}
