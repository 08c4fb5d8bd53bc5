// A classic C++ tape: an active number records at most two (index, derivative) pairs per operation, and one
// pass over the record backwards gives the gradient. Two functions on it, recorded again at every call.

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

}  // namespace

extern "C" double rosenbrock_step(const double *x, int n, double *gradient) {
    return value_and_gradient(rosenbrock, x, n, gradient);
}

extern "C" double expression_step(const double *x, double *gradient) {
    return value_and_gradient(expression, x, 4, gradient);
}
