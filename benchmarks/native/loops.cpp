// Objectives with long or nested loops, in scalar C++: see loops.py for what each of them computes.

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

extern "C" {

double lstm(int layers, int width, int steps, const double *main, const double *extra, const double *state,
            const double *sequence) {
    std::vector<double> now(state, state + layers * 2 * width), x(width);
    double total = 0;
    for (int t = 0; t + 1 < steps; t++) {
        for (int i = 0; i < width; i++) x[i] = extra[i] * sequence[t * width + i];
        for (int layer = 0; layer < layers; layer++) {
            const double *w = main + layer * 8 * width;
            double *hidden = &now[layer * 2 * width], *cell = hidden + width;
            for (int i = 0; i < width; i++) {
                const double forget = sigmoid(x[i] * w[i] + w[4 * width + i]);
                const double enter = sigmoid(hidden[i] * w[width + i] + w[5 * width + i]);
                const double leave = sigmoid(x[i] * w[2 * width + i] + w[6 * width + i]);
                const double change = std::tanh(hidden[i] * w[3 * width + i] + w[7 * width + i]);
                cell[i] = cell[i] * forget + enter * change;
                hidden[i] = leave * std::tanh(cell[i]);
                x[i] = hidden[i];
            }
        }
        double sum = 0;
        for (int i = 0; i < width; i++) {
            x[i] = x[i] * extra[width + i] + extra[2 * width + i];
            sum += std::exp(x[i]);
        }
        const double scale = std::log(sum);
        for (int i = 0; i < width; i++) total += sequence[(t + 1) * width + i] * (x[i] - scale);
    }
    return -total / ((steps - 1) * width);
}

double kmeans(int n, int k, int d, const double *centres, const double *points) {
    double total = 0;
    for (int i = 0; i < n; i++) {
        double least = INFINITY;
        for (int c = 0; c < k; c++) {
            double square = 0;
            for (int j = 0; j < d; j++) {
                const double difference = points[i * d + j] - centres[c * d + j];
                square += difference * difference;
            }
            least = std::min(least, square);
        }
        total += least;
    }
    return total;
}

double log_determinant(int n, const double *matrix) {
    std::vector<double> a(matrix, matrix + n * n);
    double total = 0;
    for (int k = 0; k < n; k++) {
        total += std::log(a[k * n + k]);
        for (int i = k + 1; i < n; i++) {
            const double factor = a[i * n + k] / a[k * n + k];
            for (int j = k + 1; j < n; j++) a[i * n + j] -= factor * a[k * n + j];
        }
    }
    return total;
}

double lorenz(int steps, double h, const double *start, const double *parameters) {
    const double sigma = parameters[0], rho = parameters[1], beta = parameters[2];
    double p[3] = {start[0], start[1], start[2]};
    auto slope = [&](const double *q, double *v) {
        v[0] = sigma * (q[1] - q[0]);
        v[1] = q[0] * (rho - q[2]) - q[1];
        v[2] = q[0] * q[1] - beta * q[2];
    };
    double k[4][3], q[3];
    for (int t = 0; t < steps; t++) {
        slope(p, k[0]);
        for (int stage = 1; stage < 4; stage++) {
            for (int i = 0; i < 3; i++) q[i] = p[i] + (stage < 3 ? h / 2 : h) * k[stage - 1][i];
            slope(q, k[stage]);
        }
        for (int i = 0; i < 3; i++) p[i] += h / 6 * (k[0][i] + 2 * k[1][i] + 2 * k[2][i] + k[3][i]);
    }
    return p[0];
}

double heat(int points, int steps, const double *initial, double conduction, const double *target) {
    std::vector<double> u(initial, initial + points), next(u);
    for (int t = 0; t < steps; t++) {
        for (int i = 1; i + 1 < points; i++) next[i] = u[i] + conduction * (u[i - 1] - 2 * u[i] + u[i + 1]);
        std::swap(u, next);
    }
    double total = 0;
    for (int i = 0; i < points; i++) total += (u[i] - target[i]) * (u[i] - target[i]);
    return total;
}

double bodies(int count, int steps, const double *places, const double *speeds, const double *masses) {
    const double time = 1e-3, softening = 0.05;
    std::vector<double> x(places, places + 3 * count), v(speeds, speeds + 3 * count);
    for (int t = 0; t < steps; t++) {
        for (int i = 0; i < count; i++) {
            double total[3] = {0, 0, 0};
            for (int j = 0; j < count; j++) {
                double d[3], square = softening;
                for (int k = 0; k < 3; k++) {
                    d[k] = x[3 * j + k] - x[3 * i + k];
                    square += d[k] * d[k];
                }
                const double factor = masses[j] / (square * std::sqrt(square));
                for (int k = 0; k < 3; k++) total[k] += factor * d[k];
            }
            for (int k = 0; k < 3; k++) v[3 * i + k] += time * total[k];
        }
        for (int k = 0; k < 3 * count; k++) x[k] += time * v[k];
    }
    double energy = 0;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < 3; k++) energy += 0.5 * masses[i] * v[3 * i + k] * v[3 * i + k];
    return energy;
}

double log_of_sum(int n, const double *x) {
    double largest = x[0], total = 0;
    for (int i = 1; i < n; i++) largest = std::max(largest, x[i]);
    for (int i = 0; i < n; i++) total += std::exp(x[i] - largest);
    return largest + std::log(total);
}

double asian(int paths, int days, const double *contract, const double *normals) {
    const double spot = contract[0], strike = contract[1], rate = contract[2], volatility = contract[3];
    const double day = contract[4] / days;
    const double drift = (rate - 0.5 * volatility * volatility) * day, deviation = volatility * std::sqrt(day);
    double total = 0;
    for (int i = 0; i < paths; i++) {
        double price = spot, sum = 0;
        for (int t = 0; t < days; t++) {
            price *= std::exp(drift + deviation * normals[i * days + t]);
            sum += price;
        }
        total += std::max(sum / days - strike, 0.0);
    }
    return std::exp(-rate * contract[4]) * total / paths;
}
}
