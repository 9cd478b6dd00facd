// The sandbox's control interface (/sim/*). Every refusal becomes an Error with the reason in words.

async function call(method, path, body) {
  let response;
  try {
    response = await fetch(path, { method, headers: body ? { "Content-Type": "application/json" } : {}, body: body ? JSON.stringify(body) : undefined });
  } catch {
    throw new Error("The sandbox does not answer. Is it still running?");
  }
  const text = await response.text();
  let json = null;
  try { json = text ? JSON.parse(text) : {}; } catch { /* a plain text answer is used as it is */ }
  if (!response.ok) {
    const reason = json?.reason ?? json?.error ?? json?.detail ?? text;
    const error = new Error(typeof reason === "string" && reason ? reason : `The sandbox refused it (HTTP ${response.status}).`);
    error.status = response.status;
    error.body = json;
    throw error;
  }
  return json ?? text;
}

export const state = () => call("GET", "/sim/state");
export const world = () => call("GET", "/sim/world");
export const setWorld = (body) => call("POST", "/sim/world", body);
export const alert = (body) => call("POST", "/sim/alert", body);
export const command = (user, channel, text) => call("POST", "/sim/command", { user, channel, text });
export const message = (user, channel, text, threadTs) => call("POST", "/sim/message", { user, channel, text, ...(threadTs ? { thread_ts: threadTs } : {}) });
export const react = (user, channel, ts, name, remove = false) => call("POST", "/sim/react", { user, channel, ts, name, remove });
export const click = (body) => call("POST", "/sim/click", body);
export const submit = (body) => call("POST", "/sim/submit", body);
export const closeView = (body) => call("POST", "/sim/close", body);
export const fileUrl = (id) => `/sim/files/${encodeURIComponent(id)}`;

export async function fileText(id) {
  const response = await fetch(fileUrl(id));
  if (!response.ok) throw new Error(`The file cannot be read (HTTP ${response.status}).`);
  return response.text();
}

/** Calls onChange at every change of the workspace, at most every 150 ms; falls back to asking every 2 s. */
export function watch(onChange) {
  let timer = null;
  let polling = null;
  const soon = () => { timer ??= setTimeout(() => { timer = null; onChange(); }, 150); };
  const source = new EventSource("/sim/events");
  source.onopen = () => { clearInterval(polling); polling = null; soon(); };
  source.onmessage = soon;
  for (const name of ["change", "seq", "state"]) source.addEventListener(name, soon);
  source.onerror = () => { polling ??= setInterval(soon, 2000); };
}
