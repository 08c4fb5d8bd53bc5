// Every primitive on numbers, by name: its value, and its local derivatives.

import { derivatives, values } from "./rules.js";

const zeros = (xs) => xs.map(() => 0);

/** ∏ x_j over j ≠ i for every i, from products of prefixes and suffixes. */
function productsOfOthers(xs) {
  const [before, after] = [zeros(xs), zeros(xs)];
  xs.forEach((_, i) => (before[i] = i ? before[i - 1] * xs[i - 1] : 1));
  for (let i = xs.length - 1; i >= 0; i--) after[i] = i < xs.length - 1 ? after[i + 1] * xs[i + 1] : 1;
  return before.map((b, i) => b * after[i]);
}

/** A tie is shared equally; what is `below` the winner was not selected. */
function shared(xs, below) {
  const tied = xs.filter((x) => !below(x)).length;
  return xs.map((x) => (below(x) ? null : 1 / tied));
}

/** The share of each in the sum of exponentials. */
function shares(xs, y) {
  const powers = xs.map((x) => Math.exp(x - y));
  const total = values.sum(powers);
  return powers.map((power) => power / total);
}

/** The local derivatives of rows with many operands. */
const MANY = {
  sum: (xs) => xs.map(() => 1),
  fsum: (xs) => xs.map(() => 1),
  prod: productsOfOthers,
  mean: (xs) => xs.map(() => 1 / xs.length),
  dot: (xs) => [...xs.slice(xs.length / 2), ...xs.slice(0, xs.length / 2)],
  max: (xs, y) => shared(xs, (x) => x < y),
  min: (xs, y) => shared(xs, (x) => x > y),
  logsumexp: shares,
  take: (xs) => xs.map((_, i) => (i > 0 && values.rint(xs[0]) === i - 1 ? 1 : null)),
};

/** Whether a primitive is known here. */
export const isKnown = (name) => name in derivatives || Object.hasOwn(MANY, name);

/** The value of a primitive. */
export const evaluate = (name, operands) => (name in derivatives ? values[name](...operands) : values[name](operands));

/** ∂y/∂operand for every operand; null where it is not selected. */
export function localDerivatives(name, operands, y) {
  return name in derivatives ? derivatives[name].map((d) => d(...operands, y)) : MANY[name](operands, y);
}
