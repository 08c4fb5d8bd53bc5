// The two ways in: a saved page, and a widget in a notebook (anywidget). Neither computes a derivative; the sweep was
// recorded in Python.

import { Viewer } from "./viewer.js";

/** Start the viewer of a saved page: the data are in the page. */
export function start() {
  const payload = JSON.parse(document.getElementById("gradient-flow-data").textContent);
  window.gradientFlow = new Viewer(document.getElementById("gradient-flow"), { ...payload, standalone: window.parent === window });
  try {
    window.frameElement?.parentElement.querySelector(".gradient-flow-picture")?.remove();
  } catch {
    // in a frame of another origin the picture stays beside the viewer
  }
}

/** The entry for anywidget. */
export default {
  render({ model, el }) {
    let viewer = null;
    const mount = () => {
      viewer?.destroy();
      const payload = JSON.parse(model.get("payload"));
      const root = document.createElement("div");
      el.replaceChildren(root);
      viewer = payload.record ? new Viewer(root, payload) : null;
      if (!viewer) root.textContent = payload.message;
      else if (payload.live) viewer.onChange = ask;
      el.gradientFlow = viewer;
      if (payload.history) viewer?.goto(Infinity); // while a model learns, its gradients are what changes
    };
    let [asked, latest] = [null, null]; // what Python computes now, and what it is to compute next
    const send = () => {
      asked = latest;
      model.set("changes", JSON.parse(asked));
      model.save_changes();
    };
    const ask = (changes) => {
      latest = JSON.stringify(Object.fromEntries(changes));
      if (asked === null) send();
    };
    const update = () => {
      const { record, history, changes, error } = JSON.parse(model.get("numbers"));
      if (changes === undefined) return viewer?.update(record, history);
      const [mine, newer] = [asked !== null, latest !== asked];
      asked = null;
      if (mine && newer) return send(); // the reader has moved on
      viewer?.answer(changes, record, error);
    };
    mount();
    model.on("change:payload", mount);
    model.on("change:numbers", update);
    return () => {
      model.off("change:payload", mount);
      model.off("change:numbers", update);
      viewer?.destroy();
    };
  },
};
