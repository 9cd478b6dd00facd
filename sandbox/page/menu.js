// A button that opens a list to choose from (overflow and select menus of messages). A native <select> would act
// on every arrow key, which must not start an operation; here only Enter or a click chooses.

import { el, uid } from "./dom.js";

let open = null;

function close(returnFocus) {
  if (!open) return;
  const { button, list } = open;
  open = null;
  list.remove();
  button.setAttribute("aria-expanded", "false");
  if (returnFocus) button.focus();
}

document.addEventListener("click", (event) => {
  if (open && !open.list.contains(event.target) && !open.button.contains(event.target)) close(false);
});

function keys(event, list) {
  const items = [...list.querySelectorAll("[role=menuitem]")];
  const index = items.indexOf(document.activeElement);
  const target = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: items.length - 1 }[event.key];
  if (event.key === "Escape" || event.key === "Tab") close(event.key === "Escape");
  else if (target !== undefined) items[(target + items.length) % items.length].focus();
  else return;
  if (event.key !== "Tab") event.preventDefault();
}

/** options: [{label: Node[]|string, detail?, choose()}] */
export function menuButton(label, options, props = {}) {
  const id = uid("menu");
  const button = el("button", { type: "button", class: "button menu", "aria-haspopup": "menu", "aria-expanded": "false", ...props }, label, el("span", { "aria-hidden": "true" }, " ▾"));
  const box = el("span", { class: "menu-box" }, button);
  button.addEventListener("click", () => {
    const mine = open?.button === button;
    close(false);
    if (mine) return;
    const list = el("div", { class: "menu-list", role: "menu", id, onkeydown: (e) => keys(e, list) }, options.map((option) =>
      el("button", { type: "button", role: "menuitem", tabindex: "-1", onclick: () => { close(true); option.choose(); } },
        el("span", {}, option.label), option.detail ? el("small", {}, option.detail) : null)));
    box.append(list);
    open = { button, list };
    button.setAttribute("aria-expanded", "true");
    list.querySelector("[role=menuitem]")?.focus();
  });
  return box;
}
