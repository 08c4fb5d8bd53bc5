// One gradient step of the 2-16-16-1 network, by hand: value and gradient of
//
//     mean over samples of relu(1 - y * score(x))  +  decay * sum of squared parameters
//
// Vector lanes run over samples. A block of samples goes forward and back while its activations stay in
// registers and L1; every parameter has one vector accumulator, summed across lanes once at the end.
// Parameters lie as W1[16][2] b1[16] W2[16][16] b2[16] W3[16] b3, 337 doubles.

#include <cstring>

namespace {

#ifdef __AVX512F__
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif
using Vector = double __attribute__((vector_size(LANES * sizeof(double))));

constexpr int IN = 2, HIDDEN = 16;
constexpr int W1 = 0, B1 = W1 + HIDDEN * IN, W2 = B1 + HIDDEN, B2 = W2 + HIDDEN * HIDDEN;
constexpr int W3 = B2 + HIDDEN, B3 = W3 + HIDDEN, PARAMETERS = B3 + 1;

inline Vector splat(double value) { return value - Vector{}; }
inline Vector relu(Vector a) { return a > 0 ? a : Vector{}; }
inline Vector where_positive(Vector a, Vector gradient) { return a > 0 ? gradient : Vector{}; }

// Adds the loss of LANES samples to `loss` and their gradients to `g`; `weight` is 0 in unused lanes.
void block(const double *p, const Vector *x, Vector y, Vector weight, Vector &loss, Vector *g) {
    Vector h1[HIDDEN], h2[HIDDEN];
    for (int i = 0; i < HIDDEN; i++)
        h1[i] = relu(p[B1 + i] + p[W1 + 2 * i] * x[0] + p[W1 + 2 * i + 1] * x[1]);
    for (int i = 0; i < HIDDEN; i++) {
        Vector even = splat(p[B2 + i]), odd{};
        for (int j = 0; j < HIDDEN; j += 2) {
            even += p[W2 + HIDDEN * i + j] * h1[j];
            odd += p[W2 + HIDDEN * i + j + 1] * h1[j + 1];
        }
        h2[i] = relu(even + odd);
    }
    Vector score = splat(p[B3]);
    for (int i = 0; i < HIDDEN; i++) score += p[W3 + i] * h2[i];

    Vector margin = 1 - y * score;
    loss += weight * relu(margin);
    Vector d_score = where_positive(margin, -y * weight);

    g[B3] += d_score;
    Vector d1[HIDDEN] = {};
    for (int i = 0; i < HIDDEN; i++) {
        g[W3 + i] += d_score * h2[i];
        Vector d2 = where_positive(h2[i], p[W3 + i] * d_score);
        g[B2 + i] += d2;
        for (int j = 0; j < HIDDEN; j++) {
            g[W2 + HIDDEN * i + j] += d2 * h1[j];
            d1[j] += p[W2 + HIDDEN * i + j] * d2;
        }
    }
    for (int i = 0; i < HIDDEN; i++) {
        Vector d = where_positive(h1[i], d1[i]);
        g[B1 + i] += d;
        g[W1 + 2 * i] += d * x[0];
        g[W1 + 2 * i + 1] += d * x[1];
    }
}

// Neighbouring lanes are added pairwise, so that the additions do not wait for one another.
inline double lane_sum(Vector a) {
    double pair[LANES];
    std::memcpy(pair, &a, sizeof a);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int lane = 0; lane < half; lane++) pair[lane] += pair[lane + half];
    return pair[0];
}

}  // namespace

// x is n rows of 2, y holds -1 or 1; returns the loss and fills gradient[337].
extern "C" double mlp_step(const double *p, const double *x, const double *y, int n, double decay,
                           double *gradient) {
    Vector g[PARAMETERS] = {}, loss{};
    for (int start = 0; start < n; start += LANES) {
        Vector inputs[IN] = {}, target{}, weight{};
        for (int lane = 0; lane < LANES && start + lane < n; lane++) {
            inputs[0][lane] = x[2 * (start + lane)];
            inputs[1][lane] = x[2 * (start + lane) + 1];
            target[lane] = y[start + lane];
            weight[lane] = 1.0 / n;
        }
        block(p, inputs, target, weight, loss, g);
    }
    double squares = 0;
    for (int i = 0; i < PARAMETERS; i++) {
        gradient[i] = lane_sum(g[i]) + 2 * decay * p[i];
        squares += p[i] * p[i];
    }
    return lane_sum(loss) + decay * squares;
}
