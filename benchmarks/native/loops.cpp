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

// Value and gradient by start and parameters: each step is computed again from where it began.
double lorenz_gradient(int steps, double h, const double *start, const double *parameters, double *stored,
                       double *gradient) {
    const double sigma = parameters[0], rho = parameters[1], beta = parameters[2];
    const double ahead[4] = {0, h / 2, h / 2, h}, weights[4] = {h / 6, h / 3, h / 3, h / 6};
    double p[3] = {start[0], start[1], start[2]}, q[4][3], k[4][3];
    auto stages = [&](const double *at) {
        for (int stage = 0; stage < 4; stage++) {
            for (int i = 0; i < 3; i++) q[stage][i] = stage ? at[i] + ahead[stage] * k[stage - 1][i] : at[i];
            k[stage][0] = sigma * (q[stage][1] - q[stage][0]);
            k[stage][1] = q[stage][0] * (rho - q[stage][2]) - q[stage][1];
            k[stage][2] = q[stage][0] * q[stage][1] - beta * q[stage][2];
        }
    };
    for (int t = 0; t < steps; t++) {
        std::copy(p, p + 3, stored + 3 * t);
        stages(p);
        for (int i = 0; i < 3; i++) p[i] += h / 6 * (k[0][i] + 2 * k[1][i] + 2 * k[2][i] + k[3][i]);
    }
    double a[3] = {1, 0, 0}, slopes[3] = {0, 0, 0};
    for (int t = steps - 1; t >= 0; t--) {
        stages(stored + 3 * t);
        double before[3] = {a[0], a[1], a[2]}, at[3] = {0, 0, 0};  // adjoints of the start, and of a stage's place
        for (int stage = 3; stage >= 0; stage--) {
            double m[3];  // adjoint of the slope of this stage
            for (int i = 0; i < 3; i++) m[i] = weights[stage] * a[i] + (stage < 3 ? ahead[stage + 1] * at[i] : 0);
            const double *x = q[stage];
            at[0] = m[1] * (rho - x[2]) + m[2] * x[1] - sigma * m[0];
            at[1] = sigma * m[0] - m[1] + m[2] * x[0];
            at[2] = -x[0] * m[1] - beta * m[2];
            for (int i = 0; i < 3; i++) before[i] += at[i];
            slopes[0] += m[0] * (x[1] - x[0]);
            slopes[1] += m[1] * x[0];
            slopes[2] -= m[2] * x[2];
        }
        std::copy(before, before + 3, a);
    }
    std::copy(a, a + 3, gradient);
    std::copy(slopes, slopes + 3, gradient + 3);
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

// Value and gradient: each step's second differences are stored, which the sweep multiplies with the adjoints.
double heat_gradient(int points, int steps, const double *initial, double conduction, const double *target,
                     double *stored, double *by_initial, double *by_conduction) {
    std::vector<double> u(initial, initial + points), next(u);
    for (int t = 0; t < steps; t++) {
        double *__restrict row = stored + (long)t * points;
        for (int i = 1; i + 1 < points; i++) {
            row[i] = u[i - 1] - 2 * u[i] + u[i + 1];
            next[i] = u[i] + conduction * row[i];
        }
        std::swap(u, next);
    }
    double total = 0, slope = 0;
    std::vector<double> adjoint(points), before(points);
    for (int i = 0; i < points; i++) {
        total += (u[i] - target[i]) * (u[i] - target[i]);
        adjoint[i] = 2 * (u[i] - target[i]);
    }
    const int last = points - 1;
    for (int t = steps - 1; t >= 0; t--) {
        const double *row = stored + (long)t * points;
        const double *__restrict a = adjoint.data();
        double *__restrict b = before.data();
        double sums[8] = {0};  // side by side, so that they are added up in vectors
        int i = 1;
        for (; i + 8 < points; i += 8)
            for (int k = 0; k < 8; k++) sums[k] += a[i + k] * row[i + k];
        for (; i < last; i++) sums[0] += a[i] * row[i];
        for (int k = 0; k < 8; k++) slope += sums[k];
        b[0] = a[0] + conduction * a[1];
        b[1] = a[1] + conduction * (a[2] - 2 * a[1]);
        for (int j = 2; j + 2 < points; j++) b[j] = a[j] + conduction * (a[j - 1] - 2 * a[j] + a[j + 1]);
        b[last - 1] = a[last - 1] + conduction * (a[last - 2] - 2 * a[last - 1]);
        b[last] = a[last] + conduction * a[last - 1];
        std::swap(adjoint, before);
    }
    std::copy(adjoint.begin(), adjoint.end(), by_initial);
    *by_conduction = slope;
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
