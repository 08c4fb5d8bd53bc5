// Descents along gradients within functions that are differentiated, by nested forward mode: see loops.py.

#include <array>
#include <cmath>
#include <type_traits>

namespace {

// A number and n derivatives of it; all may be such numbers again.
template <class T, std::size_t n>
struct Dual {
    T value;
    std::array<T, n> slopes;
    Dual(double constant = 0.0) : value(constant), slopes{} {}
    explicit Dual(T value, double) : value(value), slopes{} {}
};

double plain(double x) { return x; }
template <class T, std::size_t n>
double plain(const Dual<T, n> &x) {
    return plain(x.value);
}

template <class T, std::size_t n, class Slope>
Dual<T, n> dual(T value, const Slope &slope) {
    Dual<T, n> made(value, 0.0);
    for (std::size_t i = 0; i < n; i++) made.slopes[i] = slope(i);
    return made;
}

template <class T, std::size_t n>
Dual<T, n> operator+(const Dual<T, n> &a, const Dual<T, n> &b) {
    return dual<T, n>(a.value + b.value, [&](std::size_t i) { return a.slopes[i] + b.slopes[i]; });
}
template <class T, std::size_t n>
Dual<T, n> operator-(const Dual<T, n> &a, const Dual<T, n> &b) {
    return dual<T, n>(a.value - b.value, [&](std::size_t i) { return a.slopes[i] - b.slopes[i]; });
}
template <class T, std::size_t n>
Dual<T, n> operator*(const Dual<T, n> &a, const Dual<T, n> &b) {
    return dual<T, n>(a.value * b.value, [&](std::size_t i) { return a.value * b.slopes[i] + a.slopes[i] * b.value; });
}
template <class T, std::size_t n>
Dual<T, n> operator/(const Dual<T, n> &a, const Dual<T, n> &b) {
    const T quotient = a.value / b.value, inverse = T(1.0) / b.value;
    return dual<T, n>(quotient, [&](std::size_t i) { return (a.slopes[i] - quotient * b.slopes[i]) * inverse; });
}
double root(double x) { return std::sqrt(x); }
template <class T, std::size_t n>
Dual<T, n> root(const Dual<T, n> &a) {
    const T value = root(a.value), half = T(0.5) / value;
    return dual<T, n>(value, [&](std::size_t i) { return a.slopes[i] * half; });
}

template <class T, std::size_t n>
using Point = std::array<T, n>;

// The value, with the gradient in its slopes.
template <class T, std::size_t n, class Function>
Dual<T, n> value_and_gradient(const Function &function, const Point<T, n> &x) {
    Point<Dual<T, n>, n> seeded;
    for (std::size_t i = 0; i < n; i++) {
        seeded[i] = Dual<T, n>(x[i], 0.0);
        seeded[i].slopes[i] = T(1.0);
    }
    return function(seeded);
}

template <class T, std::size_t n>
double length(const Point<T, n> &x) {
    double square = 0.0;
    for (const T &a : x) square += plain(a) * plain(a);
    return std::sqrt(square);
}

template <class T, std::size_t n, class Function>
Point<T, n> descent(const Function &function, Point<T, n> x, double tolerance) {
    Dual<T, n> found = value_and_gradient<T, n>(function, x);
    double rate = 1e-5, moved = 1.0;
    int helped = 0;
    while (length<T, n>(found.slopes) > tolerance && moved > tolerance) {
        Point<T, n> tried, difference;
        for (std::size_t i = 0; i < n; i++) {
            tried[i] = x[i] - T(rate) * found.slopes[i];
            difference[i] = x[i] - tried[i];
        }
        moved = length<T, n>(difference);
        const Dual<T, n> reached = value_and_gradient<T, n>(function, tried);
        if (plain(reached) < plain(found)) {
            x = tried;
            found = reached;
            if (++helped == 10) {
                helped = 0;
                rate *= 2.0;
            }
        } else {
            helped = 0;
            rate *= 0.5;
        }
    }
    return x;
}

// The same number with one more derivative, which is 0.
template <class S, class T>
S raised(const T &x) {
    if constexpr (std::is_same_v<S, T>)
        return x;
    else
        return S(x, 0.0);
}

struct Height {
    double tolerance;
    Point<double, 2> start;

    template <class T>
    Point<T, 2> highest(const Point<T, 2> &one) const {
        const auto depth = [&one](const auto &other) {
            using S = std::decay_t<decltype(other[0])>;
            return S(0.0) - (raised<S>(one[0]) * raised<S>(one[0]) + raised<S>(one[1]) * raised<S>(one[1])
                             - other[0] * other[0] - other[1] * other[1]);
        };
        return descent<T, 2>(depth, {T(start[0]), T(start[1])}, tolerance);
    }

    template <class T>
    T operator()(const Point<T, 2> &one) const {
        const Point<T, 2> other = highest(one);
        return one[0] * one[0] + one[1] * one[1] - other[0] * other[0] - other[1] * other[1];
    }
};

struct Crossing {
    double time;

    template <class T>
    T operator()(const Point<T, 1> &w) const {
        const auto potential = [&w](const auto &x) {
            using S = std::decay_t<decltype(x[0])>;
            const S across = x[0] - S(10.0), up = x[1] - S(10.0) + raised<S>(w[0]);
            return S(1.0) / root(across * across + up * up) + S(1.0) / root(across * across + x[1] * x[1]);
        };
        Point<T, 2> x{T(0.0), T(8.0)}, v{T(0.75), T(0.0)};
        while (plain(x[1]) + time * plain(v[1]) > 0.0) {
            const Point<T, 2> slope = value_and_gradient<T, 2>(potential, x).slopes;
            for (int i = 0; i < 2; i++) {
                x[i] = x[i] + T(time) * v[i];
                v[i] = v[i] - T(time) * slope[i];
            }
        }
        const T end = x[0] - x[1] / v[1] * v[0];
        return end * end;
    }
};

}  // namespace

// start (2, 2), found (2, 2): see `saddle`.
extern "C" void saddle(double tolerance, const double *start, double *found) {
    const Height height{tolerance, {start[2], start[3]}};
    const auto one = descent<double, 2>(height, {start[0], start[1]}, tolerance);
    const auto other = height.highest(one);
    for (int i = 0; i < 2; i++) {
        found[i] = one[i];
        found[2 + i] = other[i];
    }
}

// start (1,), found (1,): see `particle`.
extern "C" void particle(double tolerance, double time, const double *start, double *found) {
    found[0] = descent<double, 1>(Crossing{time}, {start[0]}, tolerance)[0];
}
