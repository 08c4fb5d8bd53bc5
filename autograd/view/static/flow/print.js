// On paper: the whole picture, light, without the controls.

/** Prepare a viewer for the printer, and put it back afterwards; the returned function ends this. */
export function printWhole({ root, picture, camera }) {
  let was = null;
  const before = () => {
    was = { theme: root.dataset.theme, eye: camera.eye, moved: camera.moved };
    root.dataset.theme = "light";
    camera.fit(true); // makes what is out of sight
    const [width, height] = camera.content;
    picture.svg.setAttribute("viewBox", `-12 -12 ${width + 24} ${height + 24}`); // paper has another width
    picture.content.style.transform = "none";
  };
  const after = () => {
    if (!was) return;
    root.dataset.theme = was.theme;
    picture.svg.removeAttribute("viewBox");
    camera.moved = was.moved;
    camera.aim(was.eye);
    was = null;
  };
  window.addEventListener("beforeprint", before);
  window.addEventListener("afterprint", after);
  return () => {
    window.removeEventListener("beforeprint", before);
    window.removeEventListener("afterprint", after);
  };
}
