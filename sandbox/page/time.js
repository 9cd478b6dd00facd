// Times as Slack shows them, in the reader's own zone. `seconds` are epoch seconds.

const pad = (n) => String(n).padStart(2, "0");

export function clock(seconds, withSeconds = false) {
  const d = new Date(seconds * 1000);
  return `${pad(d.getHours())}:${pad(d.getMinutes())}${withSeconds ? `:${pad(d.getSeconds())}` : ""}`;
}

function dayName(seconds, options, pretty) {
  const d = new Date(seconds * 1000);
  if (pretty) {
    const days = Math.round((startOfDay(d) - startOfDay(new Date())) / 86400000);
    if (days === 0) return "today";
    if (days === -1) return "yesterday";
    if (days === 1) return "tomorrow";
  }
  return new Intl.DateTimeFormat("en-GB", options).format(d);
}

const startOfDay = (d) => new Date(d.getFullYear(), d.getMonth(), d.getDate()).getTime();
const SHORT = { day: "numeric", month: "short", year: "numeric" };
const LONG = { weekday: "long", day: "numeric", month: "long", year: "numeric" };
const PLAIN = { day: "numeric", month: "long", year: "numeric" };

export const day = (seconds) => dayName(seconds, LONG, true);

export function ago(seconds) {
  const s = Math.round(Date.now() / 1000 - seconds);
  const size = Math.abs(s);
  const text = size < 60 ? `${size} s` : size < 3600 ? `${Math.round(size / 60)} min`
    : size < 86400 ? `${Math.round(size / 3600)} h` : `${Math.round(size / 86400)} days`;
  return s >= 0 ? `${text} ago` : `in ${text}`;
}

/** The tokens of <!date^SECONDS^FORMAT|FALLBACK>; an unknown token stays as it is written. */
export function slackDate(seconds, format) {
  const d = new Date(seconds * 1000);
  const known = {
    date_num: () => `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())}`,
    date: () => dayName(seconds, PLAIN, false), date_pretty: () => dayName(seconds, PLAIN, true),
    date_short: () => dayName(seconds, SHORT, false), date_short_pretty: () => dayName(seconds, SHORT, true),
    date_long: () => dayName(seconds, LONG, false), date_long_pretty: () => dayName(seconds, LONG, true),
    time: () => clock(seconds), time_secs: () => clock(seconds, true), ago: () => ago(seconds),
  };
  return format.replace(/\{(\w+)\}/g, (all, name) => (Object.hasOwn(known, name) ? known[name]() : all));
}
