// Numbers and names as text, the same as Python writes them (`show` in _symbols.py).

const SPECIAL = { nan: NaN, inf: Infinity, "-inf": -Infinity };

/** JSON has no nan and no infinity: they are strings. */
export const number = (x) => (typeof x === "string" ? SPECIAL[x] : x);

/** A number as formulas print it: four significant digits and a true minus sign (`show` in Python). */
export function show(x) {
  if (Number.isNaN(x)) return "nan";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  if (x === 0) return Object.is(x, -0) ? "−0" : "0";
  const [mantissa, power] = x.toExponential(3).split("e");
  const exponent = Number(power);
  const text =
    exponent < -4 || exponent >= 4
      ? `${trimZeros(mantissa)}e${exponent}`
      : trimZeros(x.toFixed(Math.max(0, 3 - exponent)));
  return text.replaceAll("-", "−");
}

/** A number with four digits, or with two if there is only room for so many letters. */
export function showWithin(x, letters) {
  const text = show(x);
  if (text.length <= letters || !Number.isFinite(x)) return text;
  return Math.abs(x) >= 1e-3 && Math.abs(x) < 1e4 ? show(Number(x.toPrecision(2))) : x.toExponential(0).replace("e+", "e").replaceAll("-", "−");
}

/** The difference of two numbers, with its sign and two digits. */
export function showChange(before, now) {
  if (Object.is(before, now)) return "";
  const change = now - before;
  if (!Number.isFinite(change)) return "changed";
  const size = Math.abs(change);
  const text = size && (size < 1e-3 || size >= 1e4) ? size.toExponential(1).replace("e+", "e").replace(".0e", "e") : String(Number(size.toPrecision(2)));
  return `${change < 0 ? "−" : "+"}${text.replaceAll("-", "−")}`;
}

const trimZeros = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);

/** A text shortened in the middle to a width of `most` letters; no letter is cut. */
export function shorten(text, most = 20) {
  const letters =
    typeof Intl !== "undefined" && Intl.Segmenter
      ? Array.from(new Intl.Segmenter().segment(text), (s) => s.segment)
      : Array.from(text);
  const widths = letters.map((l) => (/[\u1100-\u115f\u2e80-\uffdc\u{1f000}-\u{3fffd}]/u.test(l) ? 2 : 1));
  if (widths.reduce((a, b) => a + b, 0) <= most) return text;
  let [left, right, used] = [0, letters.length, 1];
  while (left < right) {
    const fromLeft = left <= letters.length - right;
    const width = widths[fromLeft ? left : right - 1];
    if (used + width > most) break;
    used += width;
    if (fromLeft) left++;
    else right--;
  }
  return letters.slice(0, left).join("") + "…" + letters.slice(right).join("");
}

export const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

/** A list of names in a sentence: each once, with how often it comes, and four at most. */
export function names(list) {
  const unique = [...new Set(list)];
  const shown = unique.slice(0, 4).map((name) => {
    const times = list.filter((n) => n === name).length;
    return times > 1 ? `${name} (×${times})` : name;
  });
  return shown.join(", ") + (unique.length > 4 ? ` and ${unique.length - 4} more` : "");
}
