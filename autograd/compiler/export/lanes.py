"""Code for lanes: several steps of a loop at a time, one in each lane of a vector.

gcc and clang have vectors as types, on which operators work number by number. For other compilers a vector is one
number, and the same text takes the steps one by one. `@` stands for the name of the exported function.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from autograd.compiler.export.expressions import ATOM, OPERATORS, UNARY, Text, composed, operation
from autograd.ir.block import COMPARISONS

MOST = 8  # lanes of a vector; arrays of vectors are laid out for as many
WRITTEN_FOR_LANES = frozenset({"exp", "log", "log1p", "tanh"})  # other functions are called lane by lane
BITWISE = {"and": "&", "or": "|"}


class NotInLanesError(Exception):
    """Something has no code for lanes."""


def in_all_lanes(text: Text) -> Text:
    """A number as a vector."""
    return text if text.wide else composed("@_all({})", [text.text], [text], ATOM)._replace(wide=True)


def operation_in_lanes(op: str, given: Sequence[Text]) -> Text | None:
    """An operation of which some operands are wide; None if a function must be called lane by lane."""
    if op in OPERATORS or op in ("neg", "pos", "stop"):
        return operation(op, given)
    if op in COMPARISONS:
        compared = operation(op, given)
        assert compared is not None
        return composed("@_where({})", [compared.text], [compared], ATOM)
    if op in BITWISE:
        masks = [x if x.wide else composed("@_truth({})", [x.text], [x], ATOM) for x in given]
        text = f" {BITWISE[op]} ".join([x.above(UNARY - 1) for x in masks])
        return Text(f"({text})", reads=frozenset().union(*[x.reads for x in given]), wide=True)
    if op == "not":
        return composed("@_where({} == 0)", [given[0].above(UNARY - 1)], given, ATOM)
    if op == "select" and not given[0].wide:
        chosen = [given[0], *[in_all_lanes(x) for x in given[1:]]]
        return operation(op, chosen)
    if op == "select":
        chosen = [given[0], *[in_all_lanes(x) for x in given[1:]]]
        return composed("@_select({}, {}, {})", [x.text for x in chosen], chosen, ATOM)
    if op not in WRITTEN_FOR_LANES and op != "abs":
        return None
    (x,) = [in_all_lanes(x) for x in given]
    return composed(f"@_{op}({{}})", [x.text], [x], ATOM)


def lane_by_lane(name: str, function: str, arity: int) -> str:
    """A helper that calls a function of numbers in each lane."""
    numbers = "xyzuvw"[:arity]
    passed = ", ".join([f"{x}_.each[k]" for x in numbers])
    lines = [f"@_inline @_lanes @_{name}({', '.join([f'@_lanes {x}' for x in numbers])})", "{"]
    lines += [f"    @_bits {', '.join([f'{x}_' for x in numbers])};"]
    lines += [f"    {x}_.all = {x};" for x in numbers]
    lines += ["    for (int k = 0; k < @_LANES; k++)", f"        x_.each[k] = {function}({passed});"]
    return "\n".join([*lines, "    return x_.all;", "}", ""])


def helpers_in(text: str, function: str) -> list[str]:
    """The texts of the helpers that a text calls, and of the helpers that these call."""
    found: dict[str, None] = {}
    left = [text.replace(f"{function}_", "@_")]
    while left:
        one = left.pop()
        for name in TEXTS:
            if name not in found and re.search(rf"@_{name}\b", one):
                found[name] = None
                left.append(TEXTS[name])
    return [part for name, part in TEXTS.items() if name in found]


VECTORS = """\
/* Several steps of a loop at a time, one in each lane of a vector. Other compilers than gcc and clang take one. */
#if !defined(@_LANES)
#if !defined(__GNUC__)
#define @_LANES 1
#elif defined(__AVX512F__)
#define @_LANES 8
#elif defined(__AVX__)
#define @_LANES 4
#else
#define @_LANES 2
#endif
#endif

#if @_LANES > 1
#define @_inline static inline __attribute__((always_inline))
typedef double @_lanes __attribute__((vector_size(8 * @_LANES)));
typedef double @_near __attribute__((vector_size(8 * @_LANES), aligned(8)));
typedef long long @_mask __attribute__((vector_size(8 * @_LANES)));
typedef unsigned long long @_whole __attribute__((vector_size(8 * @_LANES)));
#else
#define @_inline static inline
typedef double @_lanes, @_near;
typedef long long @_mask;
typedef unsigned long long @_whole;
#endif

typedef union { @_lanes all; @_mask mask; @_whole whole; double each[@_LANES]; } @_bits;
"""

IN_MEMORY = """\
/* What is in memory stays there. Without it, gcc keeps copies for which there are not enough registers. */
#if defined(__GNUC__)
#define @_in_memory() __asm__ volatile("" : : : "memory")
#else
#define @_in_memory() ((void)0)
#endif
"""

AT = """\
/* Neighbours in memory. */
#define @_at(p) (*(@_near *)(p))
"""

WHERE = """\
/* In which lanes something is true. gcc 12 stops with an internal error if it simplifies this for SSE 2. */
#if @_LANES == 2 && defined(__SSE2__) && !defined(__SSE4_2__) && !defined(__clang__)
@_inline @_mask @_hidden(@_mask x)
{
    __asm__("" : "+x"(x));
    return x;
}
#define @_where(x) @_hidden((@_mask)(x))
#else
#define @_where(x) ((@_mask)(x))
#endif
"""

ALL = """\
@_inline @_lanes @_all(double x)
{
    return x - (@_lanes){0.0};
}
"""

STEPS = """\
/* The whole numbers from one on. */
@_inline @_lanes @_steps(double first)
{
    @_bits found;
    for (int k = 0; k < @_LANES; k++)
        found.each[k] = first + (double)k;
    return found.all;
}
"""

FIRST = """\
/* The first n lanes. */
@_inline @_mask @_first(ptrdiff_t n)
{
    return @_where(@_steps(0.0) < (double)n);
}
"""

TRUTH = """\
@_inline @_mask @_truth(int x)
{
    return @_where(@_all((double)x) != 0.0);
}
"""

ALONE = """\
/* A number that is loaded or stored by itself: clang would gather and scatter vectors, which takes longer. */
#if defined(__clang__)
#define @_alone(p) (*(volatile double *)(p))
#else
#define @_alone(p) (*(p))
#endif
"""

APART = """\
/* Numbers that lie apart in memory. */
@_inline @_lanes @_apart(const double *p, ptrdiff_t step)
{
    @_bits found;
    for (int k = 0; k < @_LANES; k++)
        found.each[k] = @_alone(p + k*step);
    return found.all;
}
"""

PUT = """\
@_inline void @_put(double *p, ptrdiff_t step, @_lanes x)
{
    @_bits given;
    given.all = x;
    for (int k = 0; k < @_LANES; k++)
        @_alone(p + k*step) = given.each[k];
}
"""

SOME = """\
/* The same if only n numbers are left: the last one again and again after them. */
@_inline @_lanes @_some(const double *p, ptrdiff_t step, ptrdiff_t n)
{
    @_bits found;
    if (n >= @_LANES)
        return step == 1 ? @_at(p) : @_apart(p, step);
    for (int k = 0; k < @_LANES; k++)
        found.each[k] = @_alone(p + (k < n ? k : n - 1)*step);
    return found.all;
}
"""

PUT_SOME = """\
@_inline void @_put_some(double *p, ptrdiff_t step, ptrdiff_t n, @_lanes x)
{
    @_bits given;
    given.all = x;
    if (n >= @_LANES && step == 1)
        @_at(p) = x;
    else
        for (int k = 0; k < @_LANES && k < n; k++)
            @_alone(p + k*step) = given.each[k];
}
"""

SELECT = """\
@_inline @_lanes @_select(@_mask chosen, @_lanes x, @_lanes y)
{
#if @_LANES > 1
    return (@_lanes)((chosen & (@_mask)x) | (~chosen & (@_mask)y));
#else
    return chosen ? x : y;
#endif
}
"""

ABS = """\
@_inline @_lanes @_abs(@_lanes x)
{
    @_bits p;
    p.all = x;
    p.whole &= 0x7fffffffffffffffULL;
    return p.all;
}
"""

SIGN = """\
/* x, which is not negative, with the sign of y. */
@_inline @_lanes @_with_sign(@_lanes x, @_lanes y)
{
    @_bits p, q;
    p.all = x;
    q.all = y;
    p.whole |= q.whole & 0x8000000000000000ULL;
    return p.all;
}
"""

SUM = """\
@_inline double @_sum(@_lanes x)
{
    @_bits p;
    p.all = x;
    for (int half = @_LANES/2; half > 0; half /= 2)
        for (int k = 0; k < half; k++)
            p.each[k] += p.each[k + half];
    return p.each[0];
}
"""

TOTAL = """\
/* The sum of what lies in memory for each lane. */
@_inline double @_total(const double *p)
{
    double x[@_LANES];
    for (int k = 0; k < @_LANES; k++)
        x[k] = p[k];
    for (int half = @_LANES/2; half > 0; half /= 2)
        for (int k = 0; k < half; k++)
            x[k] += x[k + half];
    return x[0];
}
"""

ANY = """\
@_inline int @_any(@_mask chosen)
{
    @_bits p;
    double found = 0.0;
    p.all = @_select(chosen, @_all(1.0), @_all(0.0));
    for (int k = 0; k < @_LANES; k++)
        found += p.each[k];
    return found > 0.0;
}
"""

MULTIPLIED = """\
/* x*y + z, rounded once where that is fast. */
@_inline @_lanes @_fma(@_lanes x, @_lanes y, @_lanes z)
{
#if defined(FP_FAST_FMA) || defined(__FMA__)
    @_bits p, q, r;
    p.all = x;
    q.all = y;
    r.all = z;
    for (int k = 0; k < @_LANES; k++)
        p.each[k] = fma(p.each[k], q.each[k], r.each[k]);
    return p.all;
#else
    return x*y + z;
#endif
}
"""

BETWEEN = """\
@_inline @_lanes @_between(double low, @_lanes x, double high)
{
    const @_lanes y = @_select(@_where(x < low), @_all(low), x);
    return @_select(@_where(y > high), @_all(high), y);
}
"""

# exp(x) = 2**k exp(r) with |r| <= log(2)/2. A polynomial interpolates (exp(r) - 1 - r)/r**2 at Chebyshev's points; its
# error is below a tenth of an ulp. The power of 2 is made in two steps, so that subnormal results and those beside
# infinity are right.
POWER_OF_2 = """\
/* 2 to the power k, a whole number from -1022 to 1023. */
@_inline @_lanes @_power_of_2(@_lanes k)
{
    @_bits p;
    p.all = k + 6755399441055744.0;
    p.whole = (p.whole + 1023) << 52;
    return p.all;
}
"""

EXP = """\
@_inline @_lanes @_exp(@_lanes x)
{
    static const double c[] = {2.7620088445409746e-07, 2.7557268459997064e-06, 2.4801521295954376e-05,
        0.00019841269863053618, 0.0013888888917213717, 0.008333333333330062, 0.04166666666662413,
        0.16666666666666669, 0.5000000000000001};
    const @_lanes y = @_between(-746.0, x, 710.0);
    const @_lanes k = @_fma(y, @_all(1.4426950408889634), @_all(6755399441055744.0)) - 6755399441055744.0;
    const @_lanes half = @_fma(k, @_all(0.5), @_all(6755399441055744.0)) - 6755399441055744.0;
    const @_lanes first = @_fma(-k, @_all(0.6931471803691238), y);
    const @_lanes r = @_fma(-k, @_all(1.9082149292705877e-10), first);
    @_lanes q = @_all(2.510038549551032e-08);
    for (int n = 0; n < 9; n++)
        q = @_fma(q, r, @_all(c[n]));
    return (1.0 + @_fma(r*r, q, r))*@_power_of_2(half)*@_power_of_2(k - half);
}
"""

# As in FreeBSD's e_log.c and s_log1p.c (Sun Microsystems, 1993): x = 2**k (1 + f) with 1 + f between sqrt(1/2) and
# sqrt(2).
SPLIT = """\
/* x as 2 to the power *k times what is returned, which lies between the roots of 1/2 and 2. */
@_inline @_lanes @_split(@_lanes x, @_lanes *k)
{
    @_bits p, q;
    p.all = x;
    q.whole = p.whole - 0x3fe6a09e00000000ULL;
    p.whole = (q.whole & 0xfffffffffffffULL) + 0x3fe6a09e00000000ULL;
    q.whole = ((q.whole + 0x8000000000000000ULL) >> 52) | 0x4330000000000000ULL;
    *k = q.all - 4503599627372544.0;
    return p.all;
}
"""

LOG_OF = """\
/* The logarithm of 2 to the power k times 1 + f, and c more. */
@_inline @_lanes @_log_of(@_lanes k, @_lanes f, @_lanes c)
{
    const @_lanes s = f/(2.0 + f), z = s*s, w = z*z, h = 0.5*f*f;
    const @_lanes one = w*(0.3999999999940942 + w*(0.22222198432149784 + w*0.15313837699209373));
    const @_lanes other = z*(0.6666666666666735 + w*(0.2857142874366239 + w*(0.1818357216161805 +
        w*0.14798198605116586)));
    return k*0.6931471803691238 - ((h - (s*(h + (one + other)) + (k*1.9082149292705877e-10 + c))) - f);
}

/* The logarithm, or log1p, of x: what was found, unless x is at the edge of the domain or beyond, or infinite. */
@_inline @_lanes @_in_domain(@_lanes x, double edge, @_lanes found)
{
    const @_lanes outside = @_select(@_where(x < edge), @_all(NAN), x);
    const @_lanes beyond = @_select(@_where(x == edge), @_all(-INFINITY), outside);
    return @_select(@_where(x > edge) & @_where(x < INFINITY), found, beyond);
}
"""

LOG = """\
@_inline @_lanes @_log(@_lanes x)
{
    const @_lanes is_small = @_select(@_where(x < 2.2250738585072014e-308), @_all(1.0), @_all(0.0));
    @_lanes k;
    const @_lanes m = @_split(x*@_select(@_where(is_small > 0.0), @_all(18014398509481984.0), @_all(1.0)), &k);
    return @_in_domain(x, 0.0, @_log_of(k - 54.0*is_small, m - 1.0, @_all(0.0)));
}
"""

# What 1 + x loses in rounding is added again, in c.
LOG1P = """\
@_inline @_lanes @_log1p(@_lanes x)
{
    const @_lanes u = 1.0 + x, lost = @_select(@_where(x > 1.0), 1.0 - (u - x), x - (u - 1.0))/u;
    const @_mask is_near = @_where(x > -0.2928932188134524) & @_where(x < 0.41421356237309503);
    @_lanes k;
    const @_lanes m = @_split(u, &k);
    const @_lanes found = @_log_of(@_select(is_near, @_all(0.0), k), @_select(is_near, x, m - 1.0),
        @_select(is_near, @_all(0.0), lost));
    return @_in_domain(x, -1.0, @_with_sign(@_abs(found), x));
}
"""

# Near 0 the rational function of Cephes' tanh.c (S. Moshier, 1987).
TANH = """\
@_inline @_lanes @_tanh(@_lanes x)
{
    const @_lanes z = x*x;
    const @_lanes first = @_fma(z, @_all(-0.9643991794250523), @_all(-99.28772310019185));
    const @_lanes p = @_fma(first, z, @_all(-1614.6876844170845));
    const @_lanes second = @_fma(z + 112.81167849163293, z, @_all(2235.4883906010045));
    const @_lanes q = @_fma(second, z, @_all(4844.063053251255));
    const @_lanes near = x + x*(z*(p/q));
    const @_lanes far = 1.0 - 2.0/(@_exp(2.0*@_abs(x)) + 1.0);
    return @_with_sign(@_abs(@_select(@_where(@_abs(x) < 0.625), near, far)), x);
}
"""

TEXTS = {
    "in_memory": IN_MEMORY,
    "at": AT,
    "where": WHERE,
    "all": ALL,
    "steps": STEPS,
    "first": FIRST,
    "truth": TRUTH,
    "alone": ALONE,
    "apart": APART,
    "put": PUT,
    "some": SOME,
    "put_some": PUT_SOME,
    "select": SELECT,
    "abs": ABS,
    "with_sign": SIGN,
    "sum": SUM,
    "total": TOTAL,
    "any": ANY,
    "fma": MULTIPLIED,
    "between": BETWEEN,
    "power_of_2": POWER_OF_2,
    "exp": EXP,
    "split": SPLIT,
    "log_of": LOG_OF,
    "log": LOG,
    "log1p": LOG1P,
    "tanh": TANH,
}
TYPES = ("LANES", "inline", "lanes", "near", "mask", "whole", "bits", "in_domain", "hidden")  # the other names in them
