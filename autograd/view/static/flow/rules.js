// Written by tools/generate_javascript.py from autograd/rules.py: do not edit.

import { floats } from "./floats.js";

/** The value of every primitive on numbers: that of a row with many operands takes a list. */
const f = Object.assign(Object.create(null), floats, {
  pos: (x) => x,
  sign: (x) => ((x < 0.0) ? -1.0 : ((x > 0.0) ? 1.0 : x)),
  floordiv: (a, b) => {
    if (b === 0.0) {
        return f.div(a, b);
    } else {
        const t0 = f.fmod(a, b);
        const t1 = f.div((a - t0), b);
        const t2 = ((((b < 0.0) ? (-t0) : t0) < 0.0) ? (t1 - 1.0) : t1);
        if (t2 === 0.0) {
            return f.copysign(0.0, f.div(a, b));
        } else {
            const t3 = f.floor(t2);
            return (((t2 - t3) > 0.5) ? (t3 + 1.0) : t3);
        }
    }
  },
  mod: (a, b) => {
    if (b === 0.0) {
        return NaN;
    } else {
        const t0 = f.fmod(a, b);
        return ((t0 === 0.0) ? f.copysign(0.0, b) : ((((b < 0.0) ? (-t0) : t0) < 0.0) ? (t0 + b) : t0));
    }
  },
  where: (c, a, b) => ((c !== 0.0) ? a : b),
  clip: (x, a, b) => ((x < a) ? a : ((x > b) ? b : x)),
  relu: (x) => ((x <= 0.0) ? 0.0 : x),
  leaky_relu: (x, s) => ((x > 0.0) ? x : (s * x)),
  elu: (x, s) => ((x > 0.0) ? x : (s * f.expm1(x))),
  sigmoid: (x) => {
    const t0 = f.exp((-f.abs(x)));
    return f.div(((x >= 0.0) ? 1.0 : t0), (1.0 + t0));
  },
  silu: (x) => ((x === -Infinity) ? -0.0 : (x * f.sigmoid(x))),
  gelu: (x) => ((x === -Infinity) ? -0.0 : ((0.5 * x) * f.erfc(((-x) * 0.7071067811865476)))),
  softplus: (x) => (((x < 0.0) ? 0.0 : x) + f.log1p(f.exp((-f.abs(x))))),
  logaddexp: (a, b) => ((a === b) ? (a + 0.6931471805599453) : (((b > a) ? b : a) + f.log1p(f.exp((-f.abs((a - b))))))),
});
export const values = f;

/** A local derivative for each operand, called with the operands and the value; null: not selected. */
export const derivatives = Object.assign(Object.create(null), {
  add: [(a, b, y) => 1.0, (a, b, y) => 1.0],
  sub: [(a, b, y) => 1.0, (a, b, y) => -1.0],
  mul: [(a, b, y) => b, (a, b, y) => a],
  div: [(a, b, y) => f.div(1.0, b), (a, b, y) => f.div((-y), b)],
  neg: [(x, y) => -1.0],
  pos: [(x, y) => 1.0],
  pow: [(a, b, y) => ((b === 0.0) ? ((a === 0.0) ? 0.0 : f.div((b * y), a)) : (b * f.pow(a, (b - 1.0)))), (a, b, y) => ((a === 0.0) ? ((b < 0.0) ? -Infinity : 0.0) : (y * f.log(a)))],
  fma: [(a, b, c, y) => b, (a, b, c, y) => a, (a, b, c, y) => 1.0],
  sqrt: [(x, y) => f.div(0.5, y)],
  cbrt: [(x, y) => f.div(1.0, ((3.0 * y) * y))],
  exp: [(x, y) => y],
  exp2: [(x, y) => (y * 0.6931471805599453)],
  expm1: [(x, y) => f.exp(x)],
  log: [(x, y) => f.div(1.0, x)],
  log2: [(x, y) => f.div(1.4426950408889634, x)],
  log10: [(x, y) => f.div(0.43429448190325176, x)],
  log1p: [(x, y) => f.div(1.0, (1.0 + x))],
  hypot: [(a, b, y) => {
    if (y === 0.0) {
        return 0.0;
    } else {
        const t0 = (f.abs(a) > f.abs(b));
        return (t0 ? f.div(f.copysign(1.0, a), f.hypot(1.0, f.div((t0 ? b : 0.0), (t0 ? a : 1.0)))) : f.div(a, y));
    }
  }, (a, b, y) => {
    if (y === 0.0) {
        return 0.0;
    } else {
        const t0 = (f.abs(b) > f.abs(a));
        return (t0 ? f.div(f.copysign(1.0, b), f.hypot(1.0, f.div((t0 ? a : 0.0), (t0 ? b : 1.0)))) : f.div(b, y));
    }
  }],
  sin: [(x, y) => f.cos(x)],
  cos: [(x, y) => (-f.sin(x))],
  tan: [(x, y) => (1.0 + (y * y))],
  asin: [(x, y) => f.div(1.0, f.sqrt(f.fma((-x), x, 1.0)))],
  acos: [(x, y) => f.div(-1.0, f.sqrt(f.fma((-x), x, 1.0)))],
  atan: [(x, y) => {
    const t0 = f.div(1.0, f.hypot(1.0, x));
    return (t0 * t0);
  }],
  atan2: [(a, b, y) => {
    const t0 = f.hypot(a, b);
    return f.div(f.div(b, t0), t0);
  }, (a, b, y) => {
    const t0 = f.hypot(a, b);
    return f.div(f.div((-a), t0), t0);
  }],
  sinh: [(x, y) => f.cosh(x)],
  cosh: [(x, y) => f.sinh(x)],
  tanh: [(x, y) => {
    const t0 = (y * y);
    if (t0 < 0.25) {
        return (1.0 - t0);
    } else {
        const t1 = f.exp((-2.0 * f.abs(x)));
        const t2 = (1.0 + t1);
        return f.div((4.0 * t1), (t2 * t2));
    }
  }],
  asinh: [(x, y) => f.div(1.0, f.hypot(1.0, x))],
  acosh: [(x, y) => f.div(1.0, (f.sqrt((x - 1.0)) * f.sqrt((x + 1.0))))],
  atanh: [(x, y) => f.div(1.0, f.fma((-x), x, 1.0))],
  erf: [(x, y) => {
    const t0 = (x * x);
    return (1.1283791670955126 * ((t0 < 800.0) ? f.exp((-t0)) : 0.0));
  }],
  erfc: [(x, y) => {
    const t0 = (x * x);
    return (-1.1283791670955126 * ((t0 < 800.0) ? f.exp((-t0)) : 0.0));
  }],
  gamma: [(x, y) => (y * f.digamma(x))],
  lgamma: [(x, y) => f.digamma(x)],
  digamma: [(x, y) => f.polygamma(1.0, x)],
  polygamma: [(n, x, y) => NaN, (n, x, y) => f.polygamma((n + 1.0), x)],
  floor: [(x, y) => 0.0],
  ceil: [(x, y) => 0.0],
  trunc: [(x, y) => 0.0],
  rint: [(x, y) => 0.0],
  round: [(x, n, y) => 0.0, (x, n, y) => 0.0],
  sign: [(x, y) => 0.0],
  floordiv: [(a, b, y) => 0.0, (a, b, y) => 0.0],
  mod: [(a, b, y) => 1.0, (a, b, y) => (-f.floordiv(a, b))],
  fmod: [(a, b, y) => 1.0, (a, b, y) => (-f.copysign(f.floordiv(f.abs(a), f.abs(b)), (a * b)))],
  remainder: [(a, b, y) => 1.0, (a, b, y) => (-f.copysign((f.floordiv(f.abs(a), f.abs(b)) + (((f.copysign(1.0, y) * f.copysign(1.0, a)) < 0.0) ? 1.0 : 0.0)), (a * b)))],
  abs: [(x, y) => f.sign(x)],
  copysign: [(a, b, y) => (f.sign(a) * f.copysign(1.0, b)), (a, b, y) => 0.0],
  where: [(c, a, b, y) => null, (c, a, b, y) => {
    if (!((c !== 0.0) ? true : false)) return null;
    return ((c !== 0.0) ? 1.0 : 0.0);
  }, (c, a, b, y) => {
    if (!((c !== 0.0) ? false : true)) return null;
    return ((c !== 0.0) ? 0.0 : 1.0);
  }],
  clip: [(x, a, b, y) => {
    if (!((x < a) ? false : ((x > b) ? false : true))) return null;
    return ((x < a) ? 0.0 : ((x > b) ? 0.0 : 1.0));
  }, (x, a, b, y) => {
    if (!((x < a) ? true : false)) return null;
    return ((x < a) ? 1.0 : 0.0);
  }, (x, a, b, y) => {
    if (!((x < a) ? false : ((x > b) ? true : false))) return null;
    return ((x < a) ? 0.0 : ((x > b) ? 1.0 : 0.0));
  }],
  relu: [(x, y) => ((x > 0.0) ? 1.0 : 0.0)],
  leaky_relu: [(x, s, y) => ((x > 0.0) ? 1.0 : s), (x, s, y) => ((x > 0.0) ? 0.0 : x)],
  elu: [(x, s, y) => ((x > 0.0) ? 1.0 : (s * f.exp(x))), (x, s, y) => ((x > 0.0) ? 0.0 : f.expm1(x))],
  sigmoid: [(x, y) => (y * f.sigmoid((-x)))],
  silu: [(x, y) => (f.sigmoid(x) * (1.0 + (x * f.sigmoid((-x)))))],
  gelu: [(x, y) => {
    const t0 = ((0.5 * x) * x);
    return ((0.5 * f.erfc(((-x) * 0.7071067811865476))) + ((0.3989422804014327 * x) * ((t0 < 800.0) ? f.exp((-t0)) : 0.0)));
  }],
  softplus: [(x, y) => f.sigmoid(x)],
  logaddexp: [(a, b, y) => f.sigmoid((a - b)), (a, b, y) => f.sigmoid((b - a))],
});

/** Comparisons in the local derivatives of rows with a kink: where they agree, so do the formulas. */
export const branches = Object.assign(Object.create(null), {
  pow: (a, b, y) => [(b === 0.0), (a === 0.0), (b < 0.0)],
  hypot: (a, b, y) => [(f.abs(a) > f.abs(b)), (y === 0.0), (f.abs(b) > f.abs(a))],
  remainder: (a, b, y) => [((f.copysign(1.0, y) * f.copysign(1.0, a)) < 0.0)],
  where: (c, a, b, y) => [(c !== 0.0)],
  clip: (x, a, b, y) => [(x < a), (x > b)],
  relu: (x, y) => [(x > 0.0)],
  leaky_relu: (x, s, y) => [(x > 0.0)],
  elu: (x, s, y) => [(x > 0.0)],
});
