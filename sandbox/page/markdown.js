// The `markdown` block: the common part of Markdown as DOM nodes (no HTML in it is ever parsed).

import { el, link } from "./dom.js";
import { emojiNode } from "./mrkdwn.js";

const INLINE = [
  [/^`([^`\n]+)`/, (m) => el("code", {}, m[1])],
  [/^\*\*([^\n]+?)\*\*/, (m) => el("strong", {}, inline(m[1]))],
  [/^__([^\n]+?)__/, (m) => el("strong", {}, inline(m[1]))],
  [/^~~([^\n]+?)~~/, (m) => el("s", {}, inline(m[1]))],
  [/^\*([^\s*][^\n*]*?)\*/, (m) => el("em", {}, inline(m[1]))],
  [/^_([^\s_][^\n_]*?)_(?!\w)/, (m) => el("em", {}, inline(m[1]))],
  [/^!\[([^\]\n]*)\]\(([^)\s]+)\)/, (m) => link(m[2], m[1] || m[2])],
  [/^\[([^\]\n]+)\]\(([^)\s]+)\)/, (m) => link(m[2], inline(m[1]))],
  [/^<(https?:\/\/[^>\s]+)>/, (m) => link(m[1], m[1])],
  [/^https?:\/\/[^\s<>)\]]+[^\s<>)\].,;:!?]/, (m) => link(m[0], m[0])],
  [/^:([a-z0-9_+-]{1,60}):/, (m) => emojiNode(m[1])],
];

function inline(text) {
  const out = [];
  let plain = "";
  for (let i = 0; i < text.length;) {
    const rest = text.slice(i, i + 4000);
    let node = null;
    let length = 1;
    if (text[i] === "\\" && /[\\`*_{}[\]()#+\-.!|~<>]/.test(text[i + 1] ?? "")) {
      plain += text[i + 1];
      i += 2;
      continue;
    }
    if ("`*_~![<h:".includes(text[i]) && !(text[i] === "_" && /\w/.test(text[i - 1] ?? ""))) {
      for (const [regex, make] of INLINE) {
        const found = regex.exec(rest);
        node = found && make(found);
        if (node) { length = found[0].length; break; }
      }
    }
    if (node) {
      if (plain) out.push(plain);
      plain = "";
      out.push(node);
    } else plain += text[i];
    i += length;
  }
  if (plain) out.push(plain);
  return out;
}

const cells = (line) => line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim());

function table(lines) {
  const [head, , ...rows] = lines;
  return el("div", { class: "table-box", tabindex: "0", role: "region", "aria-label": "Table" }, el("table", {},
    el("thead", {}, el("tr", {}, cells(head).map((c) => el("th", { scope: "col" }, inline(c))))),
    el("tbody", {}, rows.map((row) => el("tr", {}, cells(row).map((c) => el("td", {}, inline(c))))))));
}

const LIST = /^(\s*)([-*+]|\d+[.)])\s+(.*)$/;

/** One list; deeper items are shown indented by their depth rather than nested. */
function list(lines) {
  const ordered = /^\s*\d/.test(lines[0]);
  return el(ordered ? "ol" : "ul", {}, lines.map((line) => {
    const [, indent, , raw] = LIST.exec(line);
    const task = /^\[([ xX])\]\s+(.*)$/.exec(raw);
    const body = task ? [task[1] === " " ? "Open: " : "Done: ", inline(task[2])] : inline(raw);
    return el("li", { class: `depth-${Math.min(3, Math.floor(indent.length / 2))}` }, body);
  }));
}

const KINDS = [
  { starts: (l) => /^#{1,6}\s/.test(l), goesOn: () => false, make: ([l]) => el("p", { class: "md-heading" }, el("strong", {}, inline(l.replace(/^#+\s+/, "")))) },
  { starts: (l) => /^\s*([-*_])(\s*\1){2,}\s*$/.test(l), goesOn: () => false, make: () => el("hr") },
  { starts: (l) => l.startsWith(">"), goesOn: (l) => l.startsWith(">"), make: (ls, depth) => el("blockquote", {}, render(ls.map((l) => l.replace(/^>\s?/, "")), depth + 1)) },
  { starts: (l, next) => l.includes("|") && /^[\s|:-]+$/.test(next ?? "") && (next ?? "").includes("-"), goesOn: (l) => l.includes("|"), make: table },
  { starts: (l) => LIST.test(l), goesOn: (l) => LIST.test(l), make: list },
];

// Quotes may stand in quotes; outside text could nest them without end.
const DEEPEST = 8;

function render(lines, depth = 0) {
  if (depth > DEEPEST) return [el("p", {}, lines.join("\n"))];
  const out = [];
  for (let i = 0; i < lines.length;) {
    if (!lines[i].trim()) { i += 1; continue; }
    const fence = /^\s*(```+|~~~+)/.exec(lines[i]);
    if (fence) {
      let end = i + 1;
      while (end < lines.length && !lines[end].trim().startsWith(fence[1])) end += 1;
      out.push(el("pre", {}, el("code", {}, lines.slice(i + 1, end).join("\n"))));
      i = end + 1;
      continue;
    }
    const kind = KINDS.find((k) => k.starts(lines[i], lines[i + 1]));
    let end = i + 1;
    if (kind) while (end < lines.length && lines[end].trim() && kind.goesOn(lines[end])) end += 1;
    else while (end < lines.length && lines[end].trim() && !KINDS.some((k) => k.starts(lines[end], lines[end + 1])) && !/^\s*```/.test(lines[end])) end += 1;
    const part = lines.slice(i, end);
    out.push(kind ? kind.make(part, depth) : el("p", {}, part.flatMap((l, n) => (n ? ["\n", ...inline(l)] : inline(l)))));
    i = end;
  }
  return out;
}

export const markdown = (text) => el("div", { class: "markdown" }, render(String(text ?? "").replace(/\r\n?/g, "\n").split("\n")));
