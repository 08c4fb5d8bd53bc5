// The editor: a text area with line numbers, colours behind the text, and a mark at the line of an error.

const TOKEN = new RegExp(
  [
    "(?<comment>#[^\\n]*)",
    "(?<string>[rbfRBF]{0,2}(?:\"\"\"[^]*?(?:\"\"\"|$)|'''[^]*?(?:'''|$)|\"(?:\\\\.|[^\"\\\\\\n])*\"?|'(?:\\\\.|[^'\\\\\\n])*'?))",
    "(?<number>\\b\\d[\\d_]*(?:\\.\\d*)?(?:[eE][+-]?\\d+)?|\\B\\.\\d+)",
    "(?<keyword>\\b(?:and|as|assert|break|class|continue|def|del|elif|else|except|finally|for|from|if|import|in|is|lambda|not|or|pass|raise|return|try|while|with|yield|None|True|False)\\b)",
    "(?<call>\\b[A-Za-z_]\\w*(?=\\())",
  ].join("|"),
  "g",
);

export class Editor {
  constructor(root, { onChange, onRun }) {
    this.root = root;
    this.area = root.querySelector("textarea");
    this.colours = root.querySelector(".colours");
    this.gutter = root.querySelector(".gutter");
    this.area.addEventListener("input", () => {
      this.mark(null);
      this.#draw();
      onChange();
    });
    this.area.addEventListener("keydown", (event) => this.#key(event, onRun));
    this.area.addEventListener("scroll", () => this.#scroll());
  }

  get text() {
    return this.area.value;
  }

  set text(code) {
    this.area.value = code;
    this.mark(null);
    this.#draw();
  }

  /** Show at which line the program is wrong; null: nowhere. */
  mark(line) {
    this.line = line;
    this.area.toggleAttribute("aria-invalid", line !== null);
    [...this.gutter.children].forEach((number, i) => number.classList.toggle("wrong", i + 1 === line));
    [...this.colours.children].forEach((row, i) => row.classList.toggle("wrong", i + 1 === line));
  }

  #draw() {
    const html = this.text.replace(TOKEN, (text, ...rest) => {
      const groups = rest.at(-1);
      const kind = Object.keys(groups).find((name) => groups[name] !== undefined);
      return text
        .split("\n")
        .map((part) => `\u0001${kind}\u0002${part}\u0003`)
        .join("\n");
    });
    const rows = html.split("\n").map((row) => {
      const line = document.createElement("div");
      for (const part of row.split(/(\u0001\w+\u0002[^\u0003]*\u0003)/)) {
        const found = /^\u0001(\w+)\u0002([^\u0003]*)\u0003$/.exec(part);
        const piece = document.createElement("span");
        piece.textContent = found ? found[2] : part;
        if (found) piece.className = found[1];
        line.append(piece);
      }
      if (!row) line.append("\u200b");
      return line;
    });
    this.colours.replaceChildren(...rows);
    this.gutter.replaceChildren(...rows.map((_, i) => Object.assign(document.createElement("div"), { textContent: i + 1 })));
    this.mark(this.line ?? null);
    this.#scroll();
  }

  #scroll() {
    const { scrollTop, scrollLeft } = this.area;
    this.colours.style.transform = `translate(${-scrollLeft}px, ${-scrollTop}px)`;
    this.gutter.style.transform = `translateY(${-scrollTop}px)`;
  }

  /** Control-Enter runs; Enter keeps the indentation. The tab key leaves the editor, as everywhere on a page. */
  #key(event, onRun) {
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) return onRun();
    const before = this.text.slice(0, this.area.selectionStart);
    const row = before.slice(before.lastIndexOf("\n") + 1);
    const indent = /^ */.exec(row)[0] + (/:\s*(#.*)?$/.test(row) ? "    " : "");
    this.area.setRangeText(`\n${indent}`, this.area.selectionStart, this.area.selectionEnd, "end");
    this.area.dispatchEvent(new Event("input"));
  }
}
