// The search field: nodes by a part of their label.

import { bdi, make } from "./dom.js";
import { shorten, show } from "./text.js";

/** A field with a list of what is found; `reveal` shows a chosen node. */
export function buildFinder(id, sweep, reveal) {
  const list = make("ul", { class: "found", id: `${id}-found`, "aria-label": "Nodes found" });
  const choose = (node) => {
    list.replaceChildren();
    reveal(node);
  };
  const search = (text) => {
    const found = sweep.search(text).map((node) => entry(sweep, node, list, choose));
    const none = make("li", { class: "none", text: "No label contains this." });
    list.replaceChildren(...(found.length || !text.trim() ? found : [none]));
  };
  const input = make("input", {
    type: "search",
    placeholder: "Find a node",
    "aria-label": "Find a node by its label",
    "aria-controls": list.id,
    autocomplete: "off",
    oninput: () => search(input.value),
    onkeydown: (event) => {
      const options = [...list.children];
      if (event.key === "Enter") options[0]?.querySelector("button")?.click();
      if (event.key === "ArrowDown") options[0]?.querySelector("button")?.focus();
      if (event.key === "Escape") search((input.value = ""));
      event.stopPropagation();
    },
  });
  return make("div", { class: "finder" }, input, list);
}

function entry(sweep, node, list, choose) {
  const move = (event) => {
    const item = event.currentTarget;
    const next = { ArrowDown: item.nextElementSibling, ArrowUp: item.previousElementSibling }[event.key];
    next?.querySelector("button").focus();
    if (event.key === "Escape") list.replaceChildren();
    if (event.key.startsWith("Arrow")) event.preventDefault();
    event.stopPropagation();
  };
  const [name, value] = [bdi(shorten(sweep.name(node), 44)), make("span", { text: show(sweep.data[node]) })];
  return make("li", { onkeydown: move }, make("button", { type: "button", onclick: () => choose(node) }, name, value));
}
