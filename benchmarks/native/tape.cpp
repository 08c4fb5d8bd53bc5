// A classic C++ tape: an active number records at most two (index, derivative) pairs per operation, and one
// pass over the record backwards gives the gradient. Functions on it, among them the small GPT of notebooks/gpt.py, are
// recorded again at every call.

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

struct Entry {
    int first, second;  // positions of the operands; an absent one points at itself with derivative 0
    double to_first, to_second;
};

std::vector<Entry> tape;
std::vector<double> adjoints;

struct Active {
    double value;
    int position;
};

Active record(double value, int first, double to_first, int second, double to_second) {
    tape.push_back({first, second, to_first, to_second});
    return {value, static_cast<int>(tape.size()) - 1};
}

Active record(double value, Active a, double to_a) { return record(value, a.position, to_a, a.position, 0.0); }

Active input(double value) { return record(value, static_cast<int>(tape.size()), 0.0, static_cast<int>(tape.size()), 0.0); }

Active operator+(Active a, Active b) { return record(a.value + b.value, a.position, 1.0, b.position, 1.0); }
Active operator-(Active a, Active b) { return record(a.value - b.value, a.position, 1.0, b.position, -1.0); }
Active operator*(Active a, Active b) { return record(a.value * b.value, a.position, b.value, b.position, a.value); }
Active operator/(Active a, Active b) {
    double quotient = a.value / b.value;
    return record(quotient, a.position, 1.0 / b.value, b.position, -quotient / b.value);
}
Active operator+(Active a, double b) { return record(a.value + b, a, 1.0); }
Active operator-(double a, Active b) { return record(a - b.value, b, -1.0); }
Active operator*(Active a, double b) { return record(a.value * b, a, b); }
Active operator*(double a, Active b) { return record(a * b.value, b, a); }
Active sin(Active a) { return record(std::sin(a.value), a, std::cos(a.value)); }
Active cos(Active a) { return record(std::cos(a.value), a, -std::sin(a.value)); }
Active exp(Active a) {
    double value = std::exp(a.value);
    return record(value, a, value);
}
Active log(Active a) { return record(std::log(a.value), a, 1.0 / a.value); }
Active tanh(Active a) {
    double value = std::tanh(a.value);
    return record(value, a, 1.0 - value * value);
}
Active sqrt(Active a) {
    double value = std::sqrt(a.value);
    return record(value, a, 0.5 / value);
}

template <class Function>
double value_and_gradient(Function function, const double *x, int n, double *gradient) {
    tape.clear();
    std::vector<Active> inputs(n);
    for (int i = 0; i < n; i++) inputs[i] = input(x[i]);
    Active output = function(inputs.data(), n);
    adjoints.assign(tape.size(), 0.0);
    adjoints[output.position] = 1.0;
    for (int i = output.position; i >= n; i--) {
        double adjoint = adjoints[i];
        adjoints[tape[i].first] += adjoint * tape[i].to_first;
        adjoints[tape[i].second] += adjoint * tape[i].to_second;
    }
    for (int i = 0; i < n; i++) gradient[i] = adjoints[i];
    return output.value;
}

Active rosenbrock(const Active *x, int n) {
    Active total = input(0.0);
    for (int i = 0; i + 1 < n; i++) {
        Active valley = x[i + 1] - x[i] * x[i], slope = 1.0 - x[i];
        total = total + 100.0 * (valley * valley) + slope * slope;
    }
    return total;
}

// 20 operations on a, b, c, d; the same formula as `expression` in problems.py.
Active expression(const Active *x, int) {
    Active a = x[0], b = x[1], c = x[2], d = x[3];
    Active p = sin(a * b) + exp(c / d);
    Active q = log(a * a + b) * tanh(c - d);
    Active r = sqrt(c + d) * cos(p);
    return p * q + r / (q * q + 1.0);
}

// ---- the small GPT; gpt.cpp has the order of the parameters ----

Active relu(Active a) { return record(a.value > 0 ? a.value : 0.0, a, a.value > 0 ? 1.0 : 0.0); }
Active power(Active a, double exponent) {
    return record(std::pow(a.value, exponent), a, exponent * std::pow(a.value, exponent - 1));
}

constexpr int D = 16, HEADS = 4, SHARE = D / HEADS, WIDE = 4 * D, LETTERS = 27, CONTEXT = 16;
using Numbers = std::vector<Active>;

Active dot(const Active *x, const Active *y, int n) {
    Active total = x[0] * y[0];
    for (int i = 1; i < n; i++) total = total + x[i] * y[i];
    return total;
}

Numbers apply(const Active *matrix, int rows, const Numbers &x) {
    Numbers y(rows);
    for (int i = 0; i < rows; i++) y[i] = dot(matrix + i * x.size(), x.data(), static_cast<int>(x.size()));
    return y;
}

Numbers plus(Numbers x, const Numbers &y) {
    for (std::size_t i = 0; i < x.size(); i++) x[i] = x[i] + y[i];
    return x;
}

Numbers normalised(Numbers x) {
    const Active scale = power(dot(x.data(), x.data(), D) * (1.0 / D) + 1e-5, -0.5);
    for (Active &xi : x) xi = xi * scale;
    return x;
}

Numbers softmax(Numbers x) {
    double largest = x[0].value;
    for (const Active &xi : x) largest = std::max(largest, xi.value);
    for (Active &xi : x) xi = exp(xi + -largest);
    Active total = x[0];
    for (std::size_t i = 1; i < x.size(); i++) total = total + x[i];
    for (Active &xi : x) xi = xi / total;
    return x;
}

Active surprise(const Active *w, const double *tokens, int steps) {
    const Active *token = w, *position = token + LETTERS * D, *query = position + CONTEXT * D, *key = query + D * D;
    const Active *value = key + D * D, *mix = value + D * D, *expand = mix + D * D, *contract = expand + WIDE * D;
    const Active *answer = contract + D * WIDE;
    std::vector<Numbers> keys, values;
    Active loss{0.0, 0};
    for (int t = 0; t < steps; t++) {
        const Active *letter = token + static_cast<int>(tokens[t]) * D, *place = position + t * D;
        Numbers x = normalised(plus(Numbers(letter, letter + D), Numbers(place, place + D)));
        const Numbers normal = normalised(x), q = apply(query, D, normal);
        keys.push_back(apply(key, D, normal));
        values.push_back(apply(value, D, normal));
        Numbers attended(D);
        for (int first = 0; first < D; first += SHARE) {
            Numbers scores;
            for (const Numbers &k : keys) scores.push_back(dot(&q[first], &k[first], SHARE) * (1 / std::sqrt(SHARE)));
            const Numbers weights = softmax(scores);
            for (int i = first; i < first + SHARE; i++) {
                attended[i] = weights[0] * values[0][i];
                for (std::size_t j = 1; j < weights.size(); j++) attended[i] = attended[i] + weights[j] * values[j][i];
            }
        }
        x = plus(x, apply(mix, D, attended));
        Numbers hidden = apply(expand, WIDE, normalised(x));
        for (Active &h : hidden) h = power(relu(h), 2.0);
        x = plus(x, apply(contract, D, hidden));
        const Active lost = -1.0 * log(softmax(apply(answer, LETTERS, x))[static_cast<int>(tokens[t + 1])]);
        loss = t ? loss + lost : lost;
    }
    return loss * (1.0 / steps);
}

}  // namespace

extern "C" double gpt_tape(int steps, const double *tokens, const double *parameters, int n, double *gradient) {
    return value_and_gradient(
        [=](const Active *x, int) { return surprise(x, tokens, steps); }, parameters, n, gradient);
}

extern "C" double rosenbrock_step(const double *x, int n, double *gradient) {
    return value_and_gradient(rosenbrock, x, n, gradient);
}

extern "C" double expression_step(const double *x, double *gradient) {
    return value_and_gradient(expression, x, 4, gradient);
}
