// Builds DOM nodes. Outside text only ever becomes a text node: nothing in this page parses a string as HTML.

/** el("a", {class: "x", onclick: f, "aria-label": "y"}, child, ...): null and false children are left out. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "value") node.value = value;
    else if (value === true) node.setAttribute(key, "");
    else node.setAttribute(key, String(value));
  }
  append(node, children);
  return node;
}

export function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === "") continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

export function fill(node, ...children) {
  node.replaceChildren();
  return append(node, children);
}

export const byId = (id) => document.getElementById(id);

/** Only addresses that open a page or a mail: javascript: and data: never become a link. */
export function safeUrl(text) {
  try {
    const url = new URL(text, location.href);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

export function link(url, ...children) {
  const href = safeUrl(url);
  if (!href) return el("span", {}, ...children);
  return el("a", { href, target: "_blank", rel: "noopener noreferrer" }, ...children);
}

export function announce(text) {
  const live = byId("live");
  live.textContent = "";
  // A second write in another turn makes screen readers notice equal texts too.
  setTimeout(() => { live.textContent = text; }, 30);
}

export function toast(text) {
  const node = el("div", { class: "toast" }, el("span", {}, text),
    el("button", { type: "button", class: "quiet", onclick: () => node.remove() }, "Dismiss"));
  byId("toasts").append(node);
  setTimeout(() => node.remove(), 12000);
}

let counter = 0;
export const uid = (prefix) => `${prefix}-${++counter}`;
