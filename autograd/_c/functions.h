/* The values of the table's rows in C, named value_ROW, with the bits of rules.py and ieee.py.

In C, IEEE 754 comes free where Python raises, except for the sign of a NaN: `total` gives the positive one, as ieee.py
does. rules.h has the others: the formulas of composite rows, and the rows in `FROM_PYTHON` of tools/generate_rules.py,
which call their Python function. */

static inline double total(double result, double x)
{
    return isnan(result) && !isnan(x) ? NAN : result;
}

static inline double total2(double result, double x, double y)
{
    return isnan(result) && !isnan(x) && !isnan(y) ? NAN : result;
}

/* ---- arithmetic ---- */
static inline double value_add(double a, double b) { return a + b; }
static inline double value_sub(double a, double b) { return a - b; }
static inline double value_mul(double a, double b) { return a * b; }
static inline double value_div(double a, double b) { return b == 0.0 && (a == 0.0 || isnan(a)) ? NAN : a / b; }
static inline double value_neg(double x) { return -x; }
static inline double value_pow(double a, double b) { return total2(pow(a, b), a, b); }

static inline double value_fma(double a, double b, double c)
{
    return isfinite(a) && isfinite(b) && a != 0.0 && b != 0.0 ? fma(a, b, c) : a * b + c;
}

/* ---- roots, exponentials, logarithms, trigonometry, special functions ---- */
static inline double value_sqrt(double x) { return total(sqrt(x), x); }
static inline double value_cbrt(double x) { return cbrt(x); }
static inline double value_exp(double x) { return exp(x); }
static inline double value_exp2(double x) { return exp2(x); }
static inline double value_expm1(double x) { return expm1(x); }
static inline double value_log(double x) { return total(log(x), x); }
static inline double value_log2(double x) { return total(log2(x), x); }
static inline double value_log10(double x) { return total(log10(x), x); }
static inline double value_log1p(double x) { return total(log1p(x), x); }
static inline double value_sin(double x) { return total(sin(x), x); }
static inline double value_cos(double x) { return total(cos(x), x); }
static inline double value_tan(double x) { return total(tan(x), x); }
static inline double value_asin(double x) { return total(asin(x), x); }
static inline double value_acos(double x) { return total(acos(x), x); }
static inline double value_atan(double x) { return atan(x); }
static inline double value_atan2(double a, double b) { return atan2(a, b); }
static inline double value_sinh(double x) { return sinh(x); }
static inline double value_cosh(double x) { return cosh(x); }
static inline double value_tanh(double x) { return tanh(x); }
static inline double value_asinh(double x) { return asinh(x); }
static inline double value_acosh(double x) { return total(acosh(x), x); }
static inline double value_atanh(double x) { return total(atanh(x), x); }
static inline double value_erf(double x) { return erf(x); }
static inline double value_erfc(double x) { return erfc(x); }

/* ---- steps, remainders and signs ---- */
static inline double value_floor(double x) { return floor(x); }
static inline double value_ceil(double x) { return ceil(x); }
static inline double value_trunc(double x) { return trunc(x); }
static inline double value_rint(double x) { return rint(x); }
static inline double value_fmod(double a, double b) { return total2(fmod(a, b), a, b); }
static inline double value_remainder(double a, double b) { return total2(remainder(a, b), a, b); }
static inline double value_abs(double x) { return fabs(x); }
static inline double value_copysign(double a, double b) { return isnan(b) ? fabs(a) : copysign(a, b); }

/* ---- many operands: values, then derivatives, as loops over one or more operands ----
The derivative functions fill `d`, and set `selected` to false where no message goes. */

static double value_max(const double *x, Py_ssize_t n)
{
    double largest = x[0];
    for (Py_ssize_t i = 0; i < n; i++) {
        if (isnan(x[i]))
            return NAN;
        if (x[i] > largest)
            largest = x[i];
    }
    return largest;
}

static double value_min(const double *x, Py_ssize_t n)
{
    double smallest = x[0];
    for (Py_ssize_t i = 0; i < n; i++) {
        if (isnan(x[i]))
            return NAN;
        if (x[i] < smallest)
            smallest = x[i];
    }
    return smallest;
}

static double value_sum(const double *x, Py_ssize_t n)
{
    double sum = 0.0;
    for (Py_ssize_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

static double value_prod(const double *x, Py_ssize_t n)
{
    double product = 1.0;
    for (Py_ssize_t i = 0; i < n; i++)
        product *= x[i];
    return product;
}

static double value_mean(const double *x, Py_ssize_t n) { return value_sum(x, n) / (double)n; }

static double value_dot(const double *x, Py_ssize_t n)
{
    double sum = 0.0;
    for (Py_ssize_t i = 0, half = n / 2; i < half; i++)
        sum += x[i] * x[half + i];
    return sum;
}

static double value_logsumexp(const double *x, Py_ssize_t n)
{
    double largest = value_max(x, n), sum = 0.0;
    if (!isfinite(largest))
        return largest;
    double ties = 0.0;
    for (Py_ssize_t i = 0; i < n; i++)
        if (x[i] == largest)
            ties += 1.0;
        else
            sum += exp(x[i] - largest);
    return largest + log1p(sum + (ties - 1.0));
}

static void shared(const double *x, Py_ssize_t n, double y, double side, double *d, bool *selected)
{
    double tied = 0.0;
    for (Py_ssize_t i = 0; i < n; i++)
        tied += (selected[i] = !(side * x[i] < side * y)) ? 1.0 : 0.0;
    for (Py_ssize_t i = 0; i < n; i++)
        d[i] = value_div(1.0, tied);
}

static void derivatives_max(const double *x, Py_ssize_t n, double y, double *d, bool *selected)
{
    shared(x, n, y, 1.0, d, selected);
}

static void derivatives_min(const double *x, Py_ssize_t n, double y, double *d, bool *selected)
{
    shared(x, n, y, -1.0, d, selected);
}

static void derivatives_sum(const double *x, Py_ssize_t n, double y, double *d, bool *selected)
{
    for (Py_ssize_t i = 0; i < n; i++)
        d[i] = 1.0;
}

static void derivatives_fsum(const double *x, Py_ssize_t n, double y, double *d, bool *selected)
{
    derivatives_sum(x, n, y, d, selected);
}

static void derivatives_prod(const double *x, Py_ssize_t n, double y, double *d, bool *selected)
{
    double before = 1.0, after = 1.0;
    for (Py_ssize_t i = n - 1; i >= 0; i--, after *= x[i + 1])
        d[i] = after;
    for (Py_ssize_t i = 0; i < n; before *= x[i++])
        d[i] = before * d[i];
}

static void derivatives_mean(const double *x, Py_ssize_t n, double y, double *d, bool *selected)
{
    for (Py_ssize_t i = 0; i < n; i++)
        d[i] = 1.0 / (double)n;
}

static void derivatives_dot(const double *x, Py_ssize_t n, double y, double *d, bool *selected)
{
    for (Py_ssize_t i = 0; i < n; i++)
        d[i] = x[(i + n / 2) % n];
}

static void derivatives_logsumexp(const double *x, Py_ssize_t n, double y, double *d, bool *selected)
{
    for (Py_ssize_t i = 0; i < n; i++)
        d[i] = exp(x[i] - y);
    double total = value_sum(d, n);
    for (Py_ssize_t i = 0; i < n; i++)
        d[i] = value_div(d[i], total);
}
