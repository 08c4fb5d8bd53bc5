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
      el.gradientFlow = viewer;
      if (payload.history) viewer?.goto(Infinity); // while a model learns, its gradients are what changes
    };
    const update = () => {
      const { record, history } = JSON.parse(model.get("numbers"));
      viewer?.update(record, history);
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
