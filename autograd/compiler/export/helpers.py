"""Primitives that <math.h> lacks, as functions in C. Only those that are called are written.

`@` stands for the name of the exported function, so that several exported functions fit into one file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from autograd.compiler.lower.rounding import MOST_DIGITS

NEEDS = {
    "digamma": ("cotangent",),
    "polygamma": ("cotangent", "digamma"),
    "round_any": ("round",),
}  # helper → those that it calls
INCLUDES = {"round_any": ("<stdio.h>", "<stdlib.h>", "<string.h>")}  # helper → headers besides <math.h>, <stddef.h>


def helper_for(op: str, operands: Sequence[str]) -> str:
    """The name of the helper for a primitive with these operands."""
    if op != "round":
        return op
    try:
        digits = float(operands[1])
    except ValueError:  # it is known when the function runs
        return "round_any"
    return "round" if 0.0 <= digits <= MOST_DIGITS else "round_any"


def with_needs(helpers: Iterable[str]) -> list[str]:
    """Helpers and those that they call; each comes after those that it calls."""
    found = {name for helper in helpers for name in (helper, *NEEDS.get(helper, ()))}
    return [name for name in TEXTS if name in found]


COPYSIGN = """\
/* |x| with the sign of y; a nan counts as positive. */
static double @_copysign(double x, double y)
{
    return isnan(y) ? fabs(x) : copysign(x, y);
}
"""

COTANGENT = """\
/* The cotangent of pi x. */
static double @_cotangent(double x)
{
    const double r = x - rint(x);
    return fabs(r) > 0.25 ? copysign(tan(3.141592653589793 * (0.5 - fabs(r))), r) : 1.0 / tan(3.141592653589793 * r);
}
"""

# A Taylor series about a zero, whose distance is taken in two parts, keeps the digits there; elsewhere the recurrence
# (NIST DLMF 5.5.2), the asymptotic series (5.11.2), and for negative x the reflection formula (5.5.4).
DIGAMMA = """\
/* The logarithmic derivative of the gamma function; nan at its poles 0, -1, -2, ... */
static double @_digamma(double x)
{
    static const double taylor[] = {
        0.9676722454476212, -0.4427631689835921, 0.258499760955651, -0.16394270544240652,
        0.10782405069126237, -0.07219956125645471, 0.04880428816414311, -0.03316112647484736,
        0.022597648232218104, -0.01542476590494896, 0.010538791616612175, -0.007204534386356869,
        0.004926781395729853, -0.003369801655439328, 0.002305126326734928, -0.0015769367714301972,
        0.0010788252019162967, -0.0007380709389960052, 0.000504953265834602, -0.0003454680251063077,
        0.00023635601564027053, -0.00016170622091974803, 0.0001106337276874741, -7.569179582195066e-05,
        5.178575795222081e-05, -3.5430070947659604e-05, 2.424006611860132e-05, -1.6584242271854135e-05,
        1.134638458466385e-05, -7.762817668462094e-06, 5.3110609208898636e-06, -3.6336507898010456e-06,
        2.486022733129538e-06, -1.7008538854332607e-06, 1.1636675363548843e-06, -7.96142543124197e-07,
        5.446941930669446e-07, -3.7266161283438227e-07,
    };
    static const double asymptotic[] = {
        0.08333333333333333, -0.008333333333333333, 0.003968253968253968, -0.004166666666666667,
        0.007575757575757576, -0.021092796092796094, 0.08333333333333333, -0.4432598039215686,
    };
    static const double below[] = {
        8.939798558792134, -0.8093454625306507, 32.258572064915505, -2.761011648790828,
        128.27342343090902, -14.70672173553036, 513.2704629562862, -75.37700066344631,
        2055.5357119463315, -368.5783503832191, 8234.667099203069, -1743.364608867363,
        32997.785655255044, -8051.818155363498, 132262.95480834588, -36529.94596948565,
        530280.3912420176, -163451.79342700253, 2126602.3725968753, -723318.8861804305,
        8530604.878543982, -3172131.3155744765, 34228316.69580112, -13807481.997263888,
    };
    double moved = 0.0, sum = 0.0;
    if (x <= 0.0 && x == floor(x))
        return NAN;
    if (fabs(x - -0.5040830082644554) < 0.1) {
        const double h = (x - -0.5040830082644554) - (-8.15428206243813e-18);
        for (int k = 24 - 1; k >= 0; k--)
            sum = sum * h + below[k];
        return h * sum;
    }
    if (x < 0.0)
        return @_digamma(1.0 - x) - 3.141592653589793 * @_cotangent(x);
    if (x < 1.0) {
        moved = -1.0 / x;
        x += 1.0;
    } else if (x > 2.0 && x <= 3.0) {
        x -= 1.0;
        moved = 1.0 / x;
    }
    if (x <= 2.0) {
        const double h = (x - 1.4616321449683622) - 9.549995429965697e-17;
        for (int k = 38 - 1; k >= 0; k--)
            sum = sum * h + taylor[k];
        return moved + h * sum;
    }
    for (; x < 10.0; x += 1.0)
        moved -= 1.0 / x;
    for (int k = 8 - 1; k >= 0; k--)
        sum = (sum + asymptotic[k]) / (x * x);
    return moved + log(x) - 0.5 / x - sum;
}
"""

# (-1)ⁿ⁺¹ n! ζ(n + 1, x), with Hurwitz's zeta by Euler and Maclaurin's formula (NIST DLMF 25.11.5); for negative x the
# reflection formula (5.15.6), in which the derivatives of cot are polynomials in cot.
POLYGAMMA = """\
/* The derivative of digamma of a whole order n; nan for any other order. */
static double @_polygamma(double n, double x)
{
    static const double bernoulli[] = {
        0.08333333333333333, -0.001388888888888889, 3.306878306878307e-05, -8.267195767195768e-07,
        2.08767569878681e-08, -5.284190138687493e-10, 1.3382536530684679e-11, -3.3896802963225827e-13,
        8.586062056277845e-15, -2.174868698558062e-16, 5.5090028283602295e-18, -1.3954464685812522e-19,
        3.534707039629467e-21, -8.953517427037546e-23, 2.267952452337683e-24,
    };
    const double s = n + 1.0;
    double sum = 0.0, power, factor;
    if (n == 0.0)
        return @_digamma(x);
    if (isnan(x) || !isfinite(n) || n < 0.0 || n != floor(n) || x == -INFINITY)
        return NAN;
    const int odd = fmod(n, 2.0) != 0.0;
    if (x < 0.0 && x != floor(x)) {
        double p[173] = {0.0, 1.0}, value = 0.0;
        if (n > 170.0)
            return odd || remainder(x, 1.0) < 0.0 ? INFINITY : -INFINITY;
        const double turned = @_polygamma(n, 1.0 - x), cotangent = @_cotangent(x);
        const int degree = (int)n + 1;
        for (int step = 1; step < degree; step++) {
            double next[173] = {0.0};
            for (int k = 1; k <= step; k++) {
                next[k - 1] -= 3.141592653589793 * k * p[k];
                next[k + 1] -= 3.141592653589793 * k * p[k];
            }
            for (int k = 0; k <= step + 1; k++)
                p[k] = next[k];
        }
        for (int k = degree; k >= 0; k--)
            value = value * cotangent + p[k];
        return (odd ? -turned : turned) - 3.141592653589793 * value;
    }
    if (x <= 0.0)
        return odd ? INFINITY : -INFINITY;
    if (isinf(x))
        return odd ? 0.0 : -0.0;
    for (; x < 10.0 + s; x += 1.0)
        sum += pow(x, -s);
    power = pow(x, -s);
    sum += pow(x, -n) / n + 0.5 * power;
    factor = s * power / x;
    for (int k = 0; k < 15; k++) {
        sum += bernoulli[k] * factor;
        factor *= (s + 2.0 * k + 1.0) * (s + 2.0 * k + 2.0) / (x * x);
    }
    return (odd ? tgamma(s) : -tgamma(s)) * sum;
}
"""

# As in the machine code (`lower/rounding.py`): x·10ⁿ is exactly the sum of two doubles.
ROUND = """\
/* The nearest number of `digits` decimal digits behind the point; half to even, on the exact x. */
static double @_round(double x, double digits)
{
    static const double powers[] = {
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22,
    };
    const double p = powers[(int)fabs(digits)];
    double k;
    if (!isfinite(x))
        return x;
    if (digits >= 0.0) {
        const double high = x * p, low = fma(x, p, -high);
        if (!(fabs(high) < 9007199254740992.0))
            return x;
        k = rint(high);
        if (fabs(high) >= 4503599627370496.0)
            k = fabs(low) != 0.5 ? high + rint(low) : fmod(high, 2.0) != 0.0 ? high + 2.0 * low : high;
        else if (high - k == 0.5 && low > 0.0)
            k += 1.0;
        else if (high - k == -0.5 && low < 0.0)
            k -= 1.0;
    } else {
        k = rint(x / p);
        const double rest = fma(-k, p, x), odd = fabs(fmod(k, 2.0));
        if (rest > 0.5 * p || (rest == 0.5 * p && odd != 0.0))
            k += 1.0;
        else if (rest < -0.5 * p || (rest == -0.5 * p && odd != 0.0))
            k -= 1.0;
    }
    return copysign(digits >= 0.0 ? k / p : k * p, x);
}
"""

ROUND_ANY = """\
/* The same for any number of digits: beyond 22, decimal text is exact. */
static double @_round_any(double x, double digits)
{
    char text[400];
    const double n = trunc(digits);
    if (!isfinite(x))
        return x;
    if (isnan(n))
        return NAN;
    if (isinf(n))
        return copysign(INFINITY, x);
    if (n >= -22.0 && n <= 22.0 && (n >= 0.0 || fabs(x) < 4503599627370496.0))
        return @_round(x, n);
    if (n > 323.0)
        return x;
    if (n > 0.0) {
        if (fabs(x) > 1e-6)
            return x;
        snprintf(text, sizeof text, "%.*f", (int)n, x);
        return strtod(text, NULL);
    }
    snprintf(text, sizeof text, "0%.0f", fabs(x));
    const int length = (int)strlen(text), last = length + (n < -400.0 ? -400 : (int)n) - 1;
    if (last < 0)
        return copysign(0.0, x);
    int side = text[last + 1] - '5', up;
    for (int k = last + 2; side == 0 && k < length; k++)
        side = text[k] > '0';
    up = side > 0 || (side == 0 && (text[last] - '0') % 2 == 1);
    for (int k = last + 1; k < length; k++)
        text[k] = '0';
    for (int k = last; up && k >= 0; k--) {
        up = text[k] == '9';
        text[k] = up ? '0' : (char)(text[k] + 1);
    }
    return copysign(strtod(text, NULL), x);
}
"""

# A number as wide as all doubles together, in pieces of 32 bits, adds without rounding.
FSUM = """\
/* The exact sum of n numbers, rounded once. */
static double @_fsum(const double *x, int n)
{
    long long pieces[70] = {0};
    double special = 0.0, mantissa = 0.0;
    int top = -1, low, sticky = 0, negative = 0;
    for (int i = 0; i < n; i++) {
        int exponent, place;
        unsigned long long bits;
        if (!isfinite(x[i])) {
            special += x[i];
            continue;
        }
        bits = (unsigned long long)ldexp(frexp(fabs(x[i]), &exponent), 53);
        place = exponent - 53 + 1074;
        if (place < 0) {
            bits >>= -place;
            place = 0;
        }
        for (int half = 0; half < 2; half++) {
            const unsigned long long part = half ? bits >> 32 : bits & 0xffffffffULL;
            const unsigned long long moved = part << (place % 32);
            const int at = place / 32 + half, sign = x[i] < 0.0 ? -1 : 1;
            pieces[at] += sign * (long long)(moved & 0xffffffffULL);
            pieces[at + 1] += sign * (long long)(moved >> 32);
        }
    }
    if (special != 0.0)
        return special;
    for (int turn = 0; turn < 2; turn++) {
        for (int k = 0; k < 69; k++) {
            long long rest = pieces[k] % 4294967296LL;
            if (rest < 0)
                rest += 4294967296LL;
            pieces[k + 1] += (pieces[k] - rest) / 4294967296LL;
            pieces[k] = rest;
        }
        if (pieces[69] >= 0)
            break;
        negative = 1;
        for (int k = 0; k < 70; k++)
            pieces[k] = -pieces[k];
    }
    for (int bit = 70 * 32 - 1; top < 0 && bit >= 0; bit--)
        if (pieces[bit / 32] >> (bit % 32) & 1)
            top = bit;
    low = top < 52 ? 0 : top - 52;
    for (int bit = top; bit >= low; bit--)
        mantissa = 2.0 * mantissa + (double)(pieces[bit / 32] >> (bit % 32) & 1);
    for (int bit = 0; bit < low - 1; bit++)
        sticky |= (int)(pieces[bit / 32] >> (bit % 32) & 1);
    if (low > 0 && pieces[(low - 1) / 32] >> ((low - 1) % 32) & 1)
        mantissa += sticky || fmod(mantissa, 2.0) != 0.0 ? 1.0 : 0.0;
    return ldexp(negative ? -mantissa : mantissa, low - 1074);
}
"""

TEXTS = {
    "copysign": COPYSIGN,
    "cotangent": COTANGENT,
    "digamma": DIGAMMA,
    "polygamma": POLYGAMMA,
    "round": ROUND,
    "round_any": ROUND_ANY,
    "fsum": FSUM,
}
