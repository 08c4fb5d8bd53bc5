"""Help of `autograd.math` and `Value`: written by tools/generate_help.py from the table, do not edit."""

# ruff: noqa: E501
HELP = {
    "abs": """The absolute value.

Operands may be floats, Values and arrays, which are handled element by element.

    y = x * sign(x)
    ∂y/∂x = sign(x)
    domain: all numbers, except where it jumps or has a kink
    at x = 0: y = 0, derivative 0

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.abs(0.5), 6)
0.5
>>> round(grad(am.abs)(0.5), 6)
1.0
""",
    "acos": """The angle between 0 and π whose cosine is x.

Operands may be floats, Values and arrays, which are handled element by element.

    y = acos(x)
    ∂y/∂x = −1/√(−x² + 1)
    domain: −1 < x < 1
    at x = 1: y = 0, derivative −∞

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.acos(0.5), 6)
1.047198
>>> round(grad(am.acos)(0.5), 6)
-1.154701
""",
    "acosh": """The inverse of cosh: the number of at least 0 whose cosh is x.

Operands may be floats, Values and arrays, which are handled element by element.

    y = log(x + sqrt(x**2 - 1))
    ∂y/∂x = 1/(√(x − 1)·√(x + 1))
    domain: x > 1
    at x = 1: y = 0, derivative ∞

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.acosh(2.0), 6)
1.316958
>>> round(grad(am.acosh)(2.0), 6)
0.57735
""",
    "asin": """The angle between -π/2 and π/2 whose sine is x.

Operands may be floats, Values and arrays, which are handled element by element.

    y = asin(x)
    ∂y/∂x = 1/√(−x² + 1)
    domain: −1 < x < 1
    at x = 1: y = 1.571, derivative ∞

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.asin(0.5), 6)
0.523599
>>> round(grad(am.asin)(0.5), 6)
1.154701
""",
    "asinh": """The inverse of sinh.

Operands may be floats, Values and arrays, which are handled element by element.

    y = log(x + sqrt(x**2 + 1))
    ∂y/∂x = 1/hypot(1, x)
    domain: all numbers

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.asinh(0.5), 6)
0.481212
>>> round(grad(am.asinh)(0.5), 6)
0.894427
""",
    "atan": """The angle between -π/2 and π/2 whose tangent is x.

Operands may be floats, Values and arrays, which are handled element by element.

    y = atan(x)
    ∂y/∂x = 1/hypot(1, x)²
    domain: all numbers

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.atan(0.5), 6)
0.463648
>>> round(grad(am.atan)(0.5), 6)
0.8
""",
    "atan2": """The angle between -π and π of the point with height a over b.

Operands may be floats, Values and arrays, which are handled element by element.

    y = atan2(a, b)
    ∂y/∂a = b/hypot(a, b)²
    ∂y/∂b = −a/hypot(a, b)²
    domain: any numbers, except where it jumps or has a kink
    at a = 0, b = 0: y = 0, derivatives nan, nan

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.atan2(0.5, 2.0), 6)
0.244979
>>> [round(d, 6) for d in grad(am.atan2, argnums=(0, 1))(0.5, 2.0)]
[0.470588, -0.117647]
""",
    "atanh": """The inverse of tanh.

Operands may be floats, Values and arrays, which are handled element by element.

    y = 0.5 * log((1 + x) / (1 - x))
    ∂y/∂x = 1/(−x² + 1)
    domain: −1 < x < 1
    at x = 1: y = ∞, derivative ∞
    at x = −1: y = −∞, derivative ∞

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.atanh(0.5), 6)
0.549306
>>> round(grad(am.atanh)(0.5), 6)
1.333333
""",
    "cbrt": """The cube root, also of negative numbers.

Operands may be floats, Values and arrays, which are handled element by element.

    y = sign(x) * abs(x) ** (1 / 3)
    ∂y/∂x = 0.3333/y²
    domain: all numbers, except where it jumps or has a kink
    at x = 0: y = 0, derivative ∞

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.cbrt(0.5), 6)
0.793701
>>> round(grad(am.cbrt)(0.5), 6)
0.529134
""",
    "ceil": """The smallest whole number that is not below x.

Operands may be floats, Values and arrays, which are handled element by element.

    y = ceil(x)
    ∂y/∂x = 0
    domain: all numbers, except where it jumps or has a kink
    at x = 2: y = 2, derivative 0

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.ceil(0.5), 6)
1.0
>>> round(grad(am.ceil)(0.5), 6)
0.0
""",
    "clip": """x, but not below a nor above b.

Operands may be floats, Values and arrays, which are handled element by element.

    y = clip(x, a, b)
    ∂y/∂x = 1 (as where x = 0.5, a = −1, b = 1.5), or no message, not selected (as where x = −1.5, a = −1, b = 1.5)
    ∂y/∂a: no message, not selected (as where x = 0.5, a = −1, b = 1.5), or 1 (as where x = −1.5, a = −1, b = 1.5)
    ∂y/∂b: no message, not selected
    domain: a < b, except where it jumps or has a kink
    at x = 1, a = −1, b = 1: y = 1, derivatives 1, no message, no message

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.clip(0.5, -1.0, 1.5), 6)
0.5
>>> [round(d, 6) for d in grad(am.clip, argnums=(0, 1, 2))(0.5, -1.0, 1.5)]
[1.0, 0.0, 0.0]
""",
    "copysign": """The size of a with the sign of b.

Operands may be floats, Values and arrays, which are handled element by element.

    y = copysign(a, b)
    ∂y/∂a = sign(a)·copysign(1, b)
    ∂y/∂b = 0
    domain: any numbers, except where it jumps or has a kink
    at a = 0, b = 1: y = 0, derivatives 0, 0

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.copysign(0.5, 2.0), 6)
0.5
>>> [round(d, 6) for d in grad(am.copysign, argnums=(0, 1))(0.5, 2.0)]
[1.0, 0.0]
""",
    "cos": """The cosine of an angle in radians.

Operands may be floats, Values and arrays, which are handled element by element.

    y = cos(x)
    ∂y/∂x = −sin(x)
    domain: all numbers

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.cos(0.5), 6)
0.877583
>>> round(grad(am.cos)(0.5), 6)
-0.479426
""",
    "cosh": """The hyperbolic cosine.

Operands may be floats, Values and arrays, which are handled element by element.

    y = (exp(x) + exp(-x)) / 2
    ∂y/∂x = sinh(x)
    domain: all numbers

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.cosh(0.5), 6)
1.127626
>>> round(grad(am.cosh)(0.5), 6)
0.521095
""",
    "digamma": """The derivative of the logarithm of the gamma function, ψ; from SciPy.

Operands may be floats, Values and arrays, which are handled element by element.

    y = digamma(x)
    ∂y/∂x = ψₙ(1, x)
    domain: x > 0
    at x = 0: y = nan, derivative ∞

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.digamma(0.5), 6)
-1.96351
>>> round(grad(am.digamma)(0.5), 6)
4.934802
""",
    "erf": """The error function, 2/√π ∫ exp(-t²) dt from 0 to x.

Operands may be floats, Values and arrays, which are handled element by element.

    y = erf(x)
    ∂y/∂x = 1.128·exp(−x²)
    domain: all numbers

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.erf(0.5), 6)
0.5205
>>> round(grad(am.erf)(0.5), 6)
0.878783
""",
    "erfc": """The complement of the error function, which keeps its digits where x is large.

Operands may be floats, Values and arrays, which are handled element by element.

    y = 1 - erf(x)
    ∂y/∂x = −1.128·exp(−x²)
    domain: all numbers

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.erfc(0.5), 6)
0.4795
>>> round(grad(am.erfc)(0.5), 6)
-0.878783
""",
    "exp": """e to the power x.

Operands may be floats, Values and arrays, which are handled element by element.

    y = e**x
    ∂y/∂x = y
    domain: all numbers

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.exp(0.5), 6)
1.648721
>>> round(grad(am.exp)(0.5), 6)
1.648721
""",
    "exp2": """2 to the power x.

Operands may be floats, Values and arrays, which are handled element by element.

    y = 2**x
    ∂y/∂x = 0.6931·y
    domain: all numbers

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.exp2(0.5), 6)
1.414214
>>> round(grad(am.exp2)(0.5), 6)
0.980258
""",
    "expm1": """e to the power x, less 1; it keeps its digits near 0.

Operands may be floats, Values and arrays, which are handled element by element.

    y = exp(x) - 1
    ∂y/∂x = exp(x)
    domain: all numbers

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.expm1(0.5), 6)
0.648721
>>> round(grad(am.expm1)(0.5), 6)
1.648721
""",
    "floor": """The largest whole number that is not above x.

Operands may be floats, Values and arrays, which are handled element by element.

    y = floor(x)
    ∂y/∂x = 0
    domain: all numbers, except where it jumps or has a kink
    at x = 2: y = 2, derivative 0

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.floor(0.5), 6)
0.0
>>> round(grad(am.floor)(0.5), 6)
0.0
""",
    "floordiv": """a // b: the quotient, rounded down.

Operands may be floats, Values and arrays, which are handled element by element.

    y = floor(a / b)
    ∂y/∂a = 0
    ∂y/∂b = 0
    domain: b > 0, except where it jumps or has a kink
    at a = 6, b = 3: y = 2, derivatives 0, 0

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.floordiv(5.5, 2.0), 6)
2.0
>>> [round(d, 6) for d in grad(am.floordiv, argnums=(0, 1))(5.5, 2.0)]
[0.0, 0.0]
""",
    "fma": """a * b + c, rounded once.

Operands may be floats, Values and arrays, which are handled element by element.

    y = a * b + c
    ∂y/∂a = b
    ∂y/∂b = a
    ∂y/∂c = 1
    domain: any numbers

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.fma(0.5, 2.0, 1.5), 6)
2.5
>>> [round(d, 6) for d in grad(am.fma, argnums=(0, 1, 2))(0.5, 2.0, 1.5)]
[2.0, 0.5, 1.0]
""",
    "fmod": """The remainder of a / b with the sign of a, as in C.

Operands may be floats, Values and arrays, which are handled element by element.

    y = a - b * trunc(a / b)
    ∂y/∂a = 1
    ∂y/∂b = −copysign(floordiv(|a|, |b|), a·b)
    domain: b > 0, except where it jumps or has a kink
    at a = 6, b = 3: y = 0, derivatives 1, −2

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.fmod(5.5, 2.0), 6)
1.5
>>> [round(d, 6) for d in grad(am.fmod, argnums=(0, 1))(5.5, 2.0)]
[1.0, -2.0]
""",
    "gamma": """The gamma function: (x - 1)! for whole x.

Operands may be floats, Values and arrays, which are handled element by element.

    y = exp(lgamma(x))
    ∂y/∂x = y·ψ(x)
    domain: x > 0
    at x = −1: y = nan, derivative nan

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.gamma(0.5), 6)
1.772454
>>> round(grad(am.gamma)(0.5), 6)
-3.480231
""",
    "gelu": """The Gaussian error linear unit: x times the normal distribution.

Operands may be floats, Values and arrays, which are handled element by element.

    y = 0.5 * x * erfc(-x / sqrt(2))
    ∂y/∂x = 0.5·erfc(−0.7071·x) + 0.3989·x·exp(−0.5·x²)
    domain: all numbers

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.gelu(0.5), 6)
0.345731
>>> round(grad(am.gelu)(0.5), 6)
0.867495
""",
    "lgamma": """The logarithm of the gamma function's absolute value.

Operands may be floats, Values and arrays, which are handled element by element.

    y = lgamma(x)
    ∂y/∂x = ψ(x)
    domain: x > 0
    at x = −1: y = ∞, derivative nan

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.lgamma(0.5), 6)
0.572365
>>> round(grad(am.lgamma)(0.5), 6)
-1.96351
""",
    "log10": """The logarithm to the base 10.

Operands may be floats, Values and arrays, which are handled element by element.

    y = log(x) / log(10)
    ∂y/∂x = 0.4343/x
    domain: x > 0
    at x = 0: y = −∞, derivative ∞

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.log10(0.5), 6)
-0.30103
>>> round(grad(am.log10)(0.5), 6)
0.868589
""",
    "log1p": """The natural logarithm of 1 + x; it keeps its digits near 0.

Operands may be floats, Values and arrays, which are handled element by element.

    y = log(1 + x)
    ∂y/∂x = 1/(1 + x)
    domain: x > −1
    at x = −1: y = −∞, derivative ∞

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.log1p(0.5), 6)
0.405465
>>> round(grad(am.log1p)(0.5), 6)
0.666667
""",
    "log2": """The logarithm to the base 2.

Operands may be floats, Values and arrays, which are handled element by element.

    y = log(x) / log(2)
    ∂y/∂x = 1.443/x
    domain: x > 0
    at x = 0: y = −∞, derivative ∞

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.log2(0.5), 6)
-1.0
>>> round(grad(am.log2)(0.5), 6)
2.88539
""",
    "logaddexp": """The logarithm of a sum of exponentials, without overflow.

Operands may be floats, Values and arrays, which are handled element by element.

    y = log(exp(a) + exp(b))
    ∂y/∂a = σ(a − b)
    ∂y/∂b = σ(b − a)
    domain: any numbers

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.logaddexp(0.5, 2.0), 6)
2.201413
>>> [round(d, 6) for d in grad(am.logaddexp, argnums=(0, 1))(0.5, 2.0)]
[0.182426, 0.817574]
""",
    "mod": """a % b: the remainder with the sign of b, as in Python.

Operands may be floats, Values and arrays, which are handled element by element.

    y = a - b * floor(a / b)
    ∂y/∂a = 1
    ∂y/∂b = −floordiv(a, b)
    domain: b > 0, except where it jumps or has a kink
    at a = 6, b = 3: y = 0, derivatives 1, −2

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.mod(5.5, 2.0), 6)
1.5
>>> [round(d, 6) for d in grad(am.mod, argnums=(0, 1))(5.5, 2.0)]
[1.0, -2.0]
""",
    "polygamma": """The derivative of `digamma` of the whole order n; from SciPy.

Operands may be floats, Values and arrays, which are handled element by element.

    y = polygamma(n, x)
    ∂y/∂n: none, it must be a whole number
    ∂y/∂x = ψₙ(n + 1, x)
    domain: x > 0
    at n = 1, x = 0: y = ∞, derivatives nan, −∞

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.polygamma(1.0, 2.0), 6)
0.644934
>>> [round(d, 6) for d in grad(am.polygamma, argnums=(1,))(1.0, 2.0)]
[-0.404114]
""",
    "pow": """a to the power b.

Operands may be floats, Values and arrays, which are handled element by element.

    y = a**b
    ∂y/∂a = b·a^(b − 1)
    ∂y/∂b = y·log(a)
    domain: a > 0
    at a = 0, b = 0: y = 1, derivatives 0, 0
    at a = 0, b = 1: y = 0, derivatives 1, 0
    at a = 0, b = 2: y = 0, derivatives 0, 0

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.pow(0.5, 2.0), 6)
0.25
>>> [round(d, 6) for d in grad(am.pow, argnums=(0, 1))(0.5, 2.0)]
[1.0, -0.173287]
""",
    "relu": """The rectified linear unit.

Operands may be floats, Values and arrays, which are handled element by element.

    y = x * (x > 0)
    ∂y/∂x = 1 (as where x = 0.5), or 0 (as where x = −1.5)
    domain: all numbers, except where it jumps or has a kink
    at x = 0: y = 0, derivative 0

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.relu(0.5), 6)
0.5
>>> round(grad(am.relu)(0.5), 6)
1.0
""",
    "remainder": """The remainder of a / b next to 0, as IEEE 754 defines it.

Operands may be floats, Values and arrays, which are handled element by element.

    y = a - b * rint(a / b)
    ∂y/∂a = 1
    ∂y/∂b = −copysign(floordiv(|a|, |b|) + 1, a·b) (as where a = 5.5, b = 2), or −copysign(floordiv(|a|, |b|), a·b) (as where a = −16.5, b = 2)
    domain: b > 0, except where it jumps or has a kink
    at a = 6, b = 3: y = 0, derivatives 1, −2

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.remainder(5.5, 2.0), 6)
-0.5
>>> [round(d, 6) for d in grad(am.remainder, argnums=(0, 1))(5.5, 2.0)]
[1.0, -3.0]
""",
    "rint": """The nearest whole number; the even one if two are equally near.

Operands may be floats, Values and arrays, which are handled element by element.

    y = rint(x)
    ∂y/∂x = 0
    domain: all numbers, except where it jumps or has a kink
    at x = 2.5: y = 2, derivative 0

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.rint(0.5), 6)
0.0
>>> round(grad(am.rint)(0.5), 6)
0.0
""",
    "sigmoid": """The logistic function σ.

Operands may be floats, Values and arrays, which are handled element by element.

    y = 1 / (1 + exp(-x))
    ∂y/∂x = y·(1 − y)
    domain: all numbers

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.sigmoid(0.5), 6)
0.622459
>>> round(grad(am.sigmoid)(0.5), 6)
0.235004
""",
    "sign": """1, -1 or 0, as x is positive, negative or 0.

Operands may be floats, Values and arrays, which are handled element by element.

    y = sign(x)
    ∂y/∂x = 0
    domain: all numbers, except where it jumps or has a kink
    at x = 0: y = 0, derivative 0

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.sign(0.5), 6)
1.0
>>> round(grad(am.sign)(0.5), 6)
0.0
""",
    "silu": """The sigmoid linear unit, also called swish.

Operands may be floats, Values and arrays, which are handled element by element.

    y = x / (1 + exp(-x))
    ∂y/∂x = σ(x)·(1 + x·σ(−x))
    domain: all numbers

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.silu(0.5), 6)
0.31123
>>> round(grad(am.silu)(0.5), 6)
0.739961
""",
    "sin": """The sine of an angle in radians.

Operands may be floats, Values and arrays, which are handled element by element.

    y = sin(x)
    ∂y/∂x = cos(x)
    domain: all numbers

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.sin(0.5), 6)
0.479426
>>> round(grad(am.sin)(0.5), 6)
0.877583
""",
    "sinh": """The hyperbolic sine.

Operands may be floats, Values and arrays, which are handled element by element.

    y = (exp(x) - exp(-x)) / 2
    ∂y/∂x = cosh(x)
    domain: all numbers

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.sinh(0.5), 6)
0.521095
>>> round(grad(am.sinh)(0.5), 6)
1.127626
""",
    "softplus": """A smooth relu.

Operands may be floats, Values and arrays, which are handled element by element.

    y = log(1 + exp(x))
    ∂y/∂x = σ(x)
    domain: all numbers

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.softplus(0.5), 6)
0.974077
>>> round(grad(am.softplus)(0.5), 6)
0.622459
""",
    "sqrt": """The square root.

Operands may be floats, Values and arrays, which are handled element by element.

    y = x**0.5
    ∂y/∂x = 0.5/y
    domain: x > 0
    at x = 0: y = 0, derivative ∞
    at x = −1: y = nan, derivative nan

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.sqrt(0.5), 6)
0.707107
>>> round(grad(am.sqrt)(0.5), 6)
0.707107
""",
    "tan": """The tangent of an angle in radians.

Operands may be floats, Values and arrays, which are handled element by element.

    y = sin(x) / cos(x)
    ∂y/∂x = 1 + y²
    domain: all numbers

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.tan(0.5), 6)
0.546302
>>> round(grad(am.tan)(0.5), 6)
1.298446
""",
    "tanh": """The hyperbolic tangent.

Operands may be floats, Values and arrays, which are handled element by element.

    y = sinh(x) / cosh(x)
    ∂y/∂x = 1 − y²
    domain: all numbers

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.tanh(0.5), 6)
0.462117
>>> round(grad(am.tanh)(0.5), 6)
0.786448
""",
    "trunc": """The whole part of x, towards 0.

Operands may be floats, Values and arrays, which are handled element by element.

    y = trunc(x)
    ∂y/∂x = 0
    domain: all numbers, except where it jumps or has a kink
    at x = 2: y = 2, derivative 0

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.trunc(0.5), 6)
0.0
>>> round(grad(am.trunc)(0.5), 6)
0.0
""",
    "where": """a where c is not 0, else b; both are computed, and only one of them gets a message.

Operands may be floats, Values and arrays, which are handled element by element.

    y = where(c, a, b)
    ∂y/∂c: no message, not selected
    ∂y/∂a = 1
    ∂y/∂b: no message, not selected
    domain: any numbers, except where it jumps or has a kink
    at c = 0, a = 1, b = 2: y = 2, derivatives no message, no message, 1
    at c = 1, a = 1, b = 2: y = 1, derivatives no message, 1, no message

Examples
--------
>>> import autograd.math as am
>>> from autograd import grad
>>> round(am.where(0.5, 2.0, 1.5), 6)
2.0
>>> [round(d, 6) for d in grad(am.where, argnums=(0, 1, 2))(0.5, 2.0, 1.5)]
[0.0, 1.0, 0.0]
""",
}
