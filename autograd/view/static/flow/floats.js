// The primitives that JavaScript must compute by itself: those of autograd/ieee.py, and the special functions.
// Arithmetic, roots, rounding and remainders have the bits of Python; exp, log, sin and their like are those of the
// browser, which may differ in the last digit.

const isNegative = (x) => x < 0 || Object.is(x, -0);
const copysign = (x, y) => (isNegative(y) ? -Math.abs(x) : Math.abs(x));

// ---- exact arithmetic, by whole numbers of any size: a float is n · 2^-1074

const BITS = new DataView(new ArrayBuffer(8));
const LOWEST = 1074n;

/** A finite float times 2^1074. */
function scaled(x) {
  BITS.setFloat64(0, x);
  const bits = BITS.getBigUint64(0);
  const exponent = (bits >> 52n) & 0x7ffn;
  const digits = bits & 0xfffffffffffffn;
  const size = exponent ? (digits | 0x10000000000000n) << (exponent - 1n) : digits;
  return bits >> 63n ? -size : size;
}

/** The float nearest to n · 2^-shift; the even one of two. */
function rounded(n, shift) {
  const sign = n < 0n ? -1 : 1;
  let size = n < 0n ? -n : n;
  const length = BigInt(size.toString(2).length);
  const drop = length - 53n > shift - LOWEST ? length - 53n : shift - LOWEST; // bits below what a float can hold
  if (drop > 0n) {
    const [kept, rest, half] = [size >> drop, size & ((1n << drop) - 1n), 1n << (drop - 1n)];
    size = kept + (rest > half || (rest === half && kept & 1n) ? 1n : 0n);
  }
  return sign * timesPower(Number(size), Number((drop > 0n ? drop : 0n) - shift));
}

/** x · 2^n, exact unless it overflows: in steps whose powers are floats. */
function timesPower(x, n) {
  for (; n > 1000; n -= 1000) x *= 2 ** 1000;
  for (; n < -1000; n += 1000) x *= 2 ** -1000;
  return x * 2 ** n;
}

/** a · b + c, rounded once. */
function fma(a, b, c) {
  if (!Number.isFinite(a) || !Number.isFinite(b) || a === 0 || b === 0) return a * b + c;
  if (!Number.isFinite(c)) return c; // also where a · b alone would overflow
  const total = scaled(a) * scaled(b) + (scaled(c) << LOWEST);
  return total ? rounded(total, 2n * LOWEST) : a * b + c;
}

/** The exact sum, rounded once. */
function fsum(xs) {
  if (!xs.every(Number.isFinite)) return xs.reduce((sum, x) => sum + (Number.isFinite(x) ? 0 : x), 0);
  return rounded(xs.reduce((sum, x) => sum + scaled(x), 0n), LOWEST);
}

/** The product of two floats as a float and its rounding error. */
function exactProduct(a, b) {
  const split = (x) => {
    const high = x * 134217729 - (x * 134217729 - x); // 2^27 + 1
    return [high, x - high];
  };
  const [[a1, a2], [b1, b2], product] = [split(a), split(b), a * b];
  return [product, a2 * b2 - (product - a1 * b1 - a2 * b1 - a1 * b2)];
}

/** √(a² + b²) without overflow, from squares with their rounding errors. */
function hypot(a, b) {
  const [large, small] = [Math.max(Math.abs(a), Math.abs(b)), Math.min(Math.abs(a), Math.abs(b))];
  if (Math.abs(a) === Infinity || Math.abs(b) === Infinity) return Infinity;
  if (!(large > 0)) return large; // 0 or nan
  const exponent = Math.max(-1022, Math.floor(Math.log2(large)));
  const [x, y] = [timesPower(large, -exponent), timesPower(small, -exponent)];
  const [[xx, dx], [yy, dy]] = [exactProduct(x, x), exactProduct(y, y)];
  const sum = xx + yy;
  const lost = xx - sum + yy + (dx + dy);
  const root = Math.sqrt(sum);
  const [square, rest] = exactProduct(root, root);
  return timesPower(root + (sum - square - rest + lost) / (2 * root), exponent);
}

// ---- rounding and remainders

/** The nearest whole number; the even one of two. */
function rint(x) {
  if (!(Math.abs(x) < 2 ** 52)) return x;
  const [floor, rest] = [Math.floor(x), x - Math.floor(x)];
  return copysign(rest > 0.5 || (rest === 0.5 && floor % 2) ? floor + 1 : floor, x);
}

/** The nearest number with so many decimal digits; where two are equally near, the one with an even digit. */
function round(x, digits) {
  if (!Number.isFinite(x) || x === 0) return x;
  const n = Math.trunc(digits);
  if (n > 323) return x;
  if (n < -308) return copysign(0, x);
  const [above, below] = [10n ** BigInt(Math.max(n, 0)), 10n ** BigInt(Math.max(-n, 0))];
  const [top, bottom] = [scaled(Math.abs(x)) * above, below << LOWEST];
  const [whole, rest] = [top / bottom, (top % bottom) * 2n];
  const nearest = whole + (rest > bottom || (rest === bottom && whole & 1n) ? 1n : 0n);
  return copysign(Number(`${nearest}e${-n}`), x);
}

/** IEEE's remainder: x less the nearest multiple of y. */
function remainder(x, y) {
  if (Number.isNaN(x) || Number.isNaN(y) || Math.abs(x) === Infinity || y === 0) return NaN;
  if (Math.abs(y) === Infinity) return x;
  const [a, b] = [Math.abs(x), Math.abs(y)];
  const rest = a % b;
  const gap = b - rest;
  const size = rest < gap ? rest : rest > gap ? -gap : rest - 2 * ((0.5 * (a - rest)) % b);
  return (isNegative(x) ? -1 : 1) * size;
}

// ---- powers

function pow(a, b) {
  if (a === 1 || (a === -1 && Math.abs(b) === Infinity)) return 1; // JavaScript has nan here
  return a ** b;
}

// ---- special functions

const HALF_LOG_2_PI = 0.5 * Math.log(2 * Math.PI);
// B(2k) / (2k (2k - 1)), the coefficients of Stirling's series, and B(2k), the numbers of Bernoulli
const BERNOULLI = [1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330];
const STIRLING = BERNOULLI.map((b, i) => b / ((2 * i + 2) * (2 * i + 1)));

/** erf by the series of e^(-x²) · Σ 2ⁿ x^(2n+1) / (1 · 3 · 5 …), whose terms are all positive. */
function erfSeries(x) {
  let [term, sum] = [x, x];
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * expOfSquare(x) * sum;
}

/** e^(-x²), from the square with its rounding error. */
function expOfSquare(x) {
  const [square, rest] = exactProduct(x, x);
  return square > 750 ? 0 : Math.exp(-square) * (1 - rest);
}

/** erfc of a positive number by its continued fraction, from the inside out. */
function erfcFraction(x) {
  let inner = x;
  for (let k = Math.ceil(60 + 220 / (x * x)); k > 0; k--) inner = x + k / 2 / inner;
  return expOfSquare(x) / (Math.sqrt(Math.PI) * inner);
}

function erf(x) {
  if (Math.abs(x) < 0.5) return erfSeries(x);
  return x > 0 ? 1 - erfc(x) : x < 0 ? erfc(-x) - 1 : x;
}

function erfc(x) {
  if (Number.isNaN(x)) return x;
  if (x > 28) return 0;
  return x < 0.5 ? 1 - erf(x) : erfcFraction(x);
}

/** sin(πx), whose argument is first reduced exactly. */
function sinPi(x) {
  const y = Math.abs(x) % 2;
  const sine = y < 0.25 ? Math.sin(Math.PI * y) : y < 0.75 ? Math.cos(Math.PI * (y - 0.5)) : y < 1.25 ? -Math.sin(Math.PI * (y - 1)) : y < 1.75 ? -Math.cos(Math.PI * (y - 1.5)) : Math.sin(Math.PI * (y - 2));
  return isNegative(x) ? -sine : sine;
}

/** Stirling's series for x ≥ 20: what log Γ(x) has besides (x - 1/2) log x - x + log √(2π). */
const stirling = (x) => STIRLING.reduceRight((sum, c) => sum / (x * x) + c, 0) / x;

function gamma(x) {
  if (x === 0) return copysign(Infinity, x);
  if (x === Infinity || Number.isNaN(x)) return x;
  if (Math.abs(x) < 1e-20) return 1 / x;
  if (x < 0) return x === Math.floor(x) ? NaN : reflectedGamma(x);
  if (x > 172) return Infinity;
  if (x === Math.floor(x) && x <= 20) return factorial(x - 1);
  const shift = Math.max(0, 20 - Math.floor(x));
  const y = x + shift;
  const rest = x - (y - shift); // what y has lost: Γ(y + rest) is Γ(y) (1 + rest · log y)
  let product = 1;
  for (let k = 0; k < shift; k++) product *= x + k;
  const power = y ** (y / 2 - 0.25); // in two halves, which do not overflow
  return (power * (Math.exp(stirling(y) - y) * Math.sqrt(2 * Math.PI) * (1 + rest * Math.log(y))) * power) / product;
}

function factorial(n) {
  let product = 1;
  for (let k = 2; k <= n; k++) product *= k;
  return product;
}

/** Γ of a negative number: π / (sin(πx) Γ(1 - x)), and Γ(1 - x) is -x Γ(-x). */
function reflectedGamma(x) {
  const sine = sinPi(x);
  if (x > -171) return -Math.PI / (sine * x * gamma(-x));
  return copysign(Math.exp(Math.log(Math.PI / Math.abs(sine)) - lgamma(1 - x)), sine);
}

/** log |Γ(x)| */
function lgamma(x) {
  if (Math.abs(x) === Infinity) return Infinity;
  if (Number.isNaN(x)) return x;
  if (x <= 0 && x === Math.floor(x)) return Infinity;
  if (x === 1 || x === 2) return 0;
  if (Math.abs(x) < 1e-20) return -Math.log(Math.abs(x));
  if (Math.abs(x) < 20) return Math.log(Math.abs(gamma(x)));
  if (x < 0) return Math.log(Math.PI / Math.abs(sinPi(x))) - lgamma(1 - x);
  return (x - 0.5) * (Math.log(x) - 1) + (HALF_LOG_2_PI - 0.5) + stirling(x);
}

/** The logarithmic derivative of Γ. */
function digamma(x) {
  if (Number.isNaN(x) || x === Infinity) return x;
  if (x === -Infinity || (x <= 0 && x === Math.floor(x))) return NaN;
  if (x < 0) return digamma(1 - x) - Math.PI / Math.tan(Math.PI * remainder(x, 1));
  let [sum, y] = [0, x];
  for (; y < 12; y++) sum -= 1 / y;
  const tail = BERNOULLI.reduceRight((total, b, i) => total / (y * y) + b / (2 * i + 2), 0) / (y * y);
  return sum + Math.log(y) - 0.5 / y - tail;
}

/** Σ 1 / (q + k)^s over k ≥ 0, by Euler and Maclaurin's formula. */
function hurwitz(s, q) {
  if (s > 171) return q ** -s + (q + 1) ** -s; // the other terms are lost in these
  let [sum, y] = [0, q];
  for (; y < 16 + s / 2; y++) sum += y ** -s;
  let [tail, factor] = [0, s * y ** (-s - 1)];
  for (let k = 0, divisor = 2; k < BERNOULLI.length; k++) {
    tail += (BERNOULLI[k] / divisor) * factor;
    const at = s + 2 * k + 1;
    factor *= (at * (at + 1)) / (y * y);
    divisor *= (2 * k + 3) * (2 * k + 4);
  }
  return sum + (y ** (1 - s) / (s - 1) + 0.5 * y ** -s + tail);
}

/** The derivative of digamma of a whole order. */
function polygamma(order, x) {
  if (order === 0) return digamma(x);
  if (!Number.isFinite(order) || order < 0 || order !== Math.floor(order) || x === -Infinity || Number.isNaN(x)) return NaN;
  const sign = order % 2 ? 1 : -1;
  if (x <= 0 && x === Math.floor(x)) return sign * Infinity;
  if (x === Infinity && order <= 170) return sign * 0;
  if (x < 0) {
    if (order > 170) return order % 2 ? Infinity : -copysign(Infinity, remainder(x, 1));
    const turned = polygamma(order, 1 - x);
    return (order % 2 ? -turned : turned) - Math.PI * derivativeOfCot(order, x);
  }
  return sign * gamma(order + 1) * hurwitz(order + 1, x);
}

/** The n-th derivative of cot(πx): a polynomial in c = cot(πx), because c' = -π(1 + c²). */
function derivativeOfCot(n, x) {
  let coefficients = [0, 1];
  for (let i = 0; i < n; i++) {
    const slopes = coefficients.map((p, k) => -Math.PI * k * p).slice(1);
    coefficients = Array.from({ length: slopes.length + 2 }, (_, k) => (slopes[k] ?? 0) + (slopes[k - 2] ?? 0));
  }
  const c = 1 / Math.tan(Math.PI * remainder(x, 1));
  return coefficients.reduceRight((total, p) => total * c + p, 0);
}

// ---- rows with many operands: from left to right

const sum = (xs) => xs.reduce((total, x) => total + x, 0);

/** The first of the best; nan if any is nan. */
const best = (xs, better) => (xs.some(Number.isNaN) ? NaN : xs.reduce((found, x) => (better(x, found) ? x : found)));
const max = (xs) => best(xs, (a, b) => a > b);
const min = (xs) => best(xs, (a, b) => a < b);

function logsumexp(xs) {
  const largest = max(xs);
  if (!Number.isFinite(largest)) return largest;
  const at = xs.indexOf(largest);
  return largest + Math.log1p(sum(xs.filter((_, i) => i !== at).map((x) => Math.exp(x - largest))));
}

function dot(xs) {
  const half = xs.length / 2;
  return sum(xs.slice(0, half).map((x, i) => x * xs[half + i]));
}

/** The element at an index, which comes first and is rounded. */
function take(xs) {
  const at = rint(xs[0]);
  return at >= 0 && at < xs.length - 1 ? xs[at + 1] : NaN;
}

export const floats = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  neg: (x) => -x,
  abs: Math.abs,
  pow,
  fma,
  sqrt: Math.sqrt,
  cbrt: Math.cbrt,
  exp: Math.exp,
  exp2: (x) => 2 ** x,
  expm1: Math.expm1,
  log: Math.log,
  log2: Math.log2,
  log10: Math.log10,
  log1p: Math.log1p,
  hypot,
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  asin: Math.asin,
  acos: Math.acos,
  atan: Math.atan,
  atan2: Math.atan2,
  sinh: Math.sinh,
  cosh: Math.cosh,
  tanh: Math.tanh,
  asinh: Math.asinh,
  acosh: Math.acosh,
  atanh: Math.atanh,
  erf,
  erfc,
  gamma,
  lgamma,
  digamma,
  polygamma,
  floor: Math.floor,
  ceil: Math.ceil,
  trunc: Math.trunc,
  rint,
  round,
  fmod: (a, b) => a % b,
  remainder,
  copysign,
  sum,
  fsum,
  prod: (xs) => xs.reduce((total, x) => total * x, 1),
  mean: (xs) => sum(xs) / xs.length,
  max,
  min,
  dot,
  logsumexp,
  take,
};
