// Loss and gradient of the small GPT of notebooks/gpt.py for one name, written by hand.
//
// The parameters are one array: token 27 x 16, position 16 x 16, query, key, value and mix 16 x 16 each,
// expand 64 x 16, contract 16 x 64, answer 27 x 16. `tokens` has steps + 1 numbers.

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

constexpr int D = 16, HEADS = 4, SHARE = D / HEADS, WIDE = 4 * D, LETTERS = 27, CONTEXT = 16;

// y = W x
template <int ROWS, int COLUMNS>
void apply(const double *w, const double *x, double *y) {
    for (int i = 0; i < ROWS; i++) {
        double total = 0;
        for (int j = 0; j < COLUMNS; j++) total += w[i * COLUMNS + j] * x[j];
        y[i] = total;
    }
}

// The adjoints of W and x from that of y = W x are added.
template <int ROWS, int COLUMNS>
void apply_back(const double *w, const double *x, const double *dy, double *dw, double *dx) {
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLUMNS; j++) {
            dw[i * COLUMNS + j] += dy[i] * x[j];
            dx[j] += w[i * COLUMNS + j] * dy[i];
        }
}

double normalise(const double *x, double *y) {
    double squares = 0;
    for (int i = 0; i < D; i++) squares += x[i] * x[i];
    const double scale = 1 / std::sqrt(squares / D + 1e-5);
    for (int i = 0; i < D; i++) y[i] = x[i] * scale;
    return scale;
}

void normalise_back(const double *x, double scale, const double *dy, double *dx) {
    double dot = 0;
    for (int i = 0; i < D; i++) dot += dy[i] * x[i];
    for (int i = 0; i < D; i++) dx[i] += scale * dy[i] - scale * scale * scale / D * dot * x[i];
}

struct Step {
    double e[D], x[D], normal[D], q[D], k[D], v[D], a[D], y[D], z[D], h[WIDE], hh[WIDE], o[D], p[LETTERS];
    double s0, s1, s2, weights[HEADS][CONTEXT], dk[D], dv[D];
};

}  // namespace

extern "C" double gpt_step(int steps, const double *tokens, const double *parameters, double *gradient) {
    constexpr int SIZES[] = {LETTERS * D, CONTEXT * D, D * D, D * D, D * D, D * D, WIDE * D, D * WIDE, LETTERS * D};
    const double *w[9];
    double *g[9];
    int at = 0;
    for (int m = 0; m < 9; m++) {
        w[m] = parameters + at;
        g[m] = gradient + at;
        at += SIZES[m];
    }
    std::fill(gradient, gradient + at, 0.0);
    static thread_local std::vector<Step> all(CONTEXT);
    double loss = 0;
    for (int t = 0; t < steps; t++) {
        Step &s = all[t];
        const int token = static_cast<int>(tokens[t]), following = static_cast<int>(tokens[t + 1]);
        for (int i = 0; i < D; i++) s.e[i] = w[0][token * D + i] + w[1][t * D + i];
        s.s0 = normalise(s.e, s.x);
        s.s1 = normalise(s.x, s.normal);
        apply<D, D>(w[2], s.normal, s.q);
        apply<D, D>(w[3], s.normal, s.k);
        apply<D, D>(w[4], s.normal, s.v);
        for (int head = 0; head < HEADS; head++) {
            const int first = head * SHARE;
            double *weights = s.weights[head], largest = -INFINITY, total = 0;
            for (int j = 0; j <= t; j++) {
                double score = 0;
                for (int i = first; i < first + SHARE; i++) score += s.q[i] * all[j].k[i];
                weights[j] = score / std::sqrt(SHARE);
                largest = std::max(largest, weights[j]);
            }
            for (int j = 0; j <= t; j++) total += weights[j] = std::exp(weights[j] - largest);
            for (int j = 0; j <= t; j++) weights[j] /= total;
            for (int i = first; i < first + SHARE; i++) {
                s.a[i] = 0;
                for (int j = 0; j <= t; j++) s.a[i] += weights[j] * all[j].v[i];
            }
        }
        apply<D, D>(w[5], s.a, s.y);
        for (int i = 0; i < D; i++) s.y[i] += s.x[i];
        s.s2 = normalise(s.y, s.z);
        apply<WIDE, D>(w[6], s.z, s.h);
        for (int i = 0; i < WIDE; i++) {
            s.h[i] = std::max(s.h[i], 0.0);
            s.hh[i] = s.h[i] * s.h[i];
        }
        apply<D, WIDE>(w[7], s.hh, s.o);
        for (int i = 0; i < D; i++) s.o[i] += s.y[i];
        apply<LETTERS, D>(w[8], s.o, s.p);
        const double largest = *std::max_element(s.p, s.p + LETTERS);
        double total = 0;
        for (int i = 0; i < LETTERS; i++) total += s.p[i] = std::exp(s.p[i] - largest);
        for (int i = 0; i < LETTERS; i++) s.p[i] /= total;
        loss -= std::log(s.p[following]);
        std::fill(s.dk, s.dk + D, 0.0);
        std::fill(s.dv, s.dv + D, 0.0);
    }
    for (int t = steps - 1; t >= 0; t--) {
        Step &s = all[t];
        const int token = static_cast<int>(tokens[t]), following = static_cast<int>(tokens[t + 1]);
        double dlogits[LETTERS], dout[D] = {}, dhh[WIDE] = {}, dz[D] = {}, da[D] = {}, dq[D] = {}, dn[D] = {}, de[D] = {};
        for (int i = 0; i < LETTERS; i++) dlogits[i] = (s.p[i] - (i == following)) / steps;
        apply_back<LETTERS, D>(w[8], s.o, dlogits, g[8], dout);
        apply_back<D, WIDE>(w[7], s.hh, dout, g[7], dhh);
        for (int i = 0; i < WIDE; i++) dhh[i] *= 2 * s.h[i];
        apply_back<WIDE, D>(w[6], s.z, dhh, g[6], dz);
        normalise_back(s.y, s.s2, dz, dout);
        apply_back<D, D>(w[5], s.a, dout, g[5], da);
        for (int head = 0; head < HEADS; head++) {
            const int first = head * SHARE;
            double changes[CONTEXT], mean = 0;
            for (int j = 0; j <= t; j++) {
                changes[j] = 0;
                for (int i = first; i < first + SHARE; i++) {
                    changes[j] += da[i] * all[j].v[i];
                    all[j].dv[i] += s.weights[head][j] * da[i];
                }
                mean += s.weights[head][j] * changes[j];
            }
            for (int j = 0; j <= t; j++) {
                const double change = s.weights[head][j] * (changes[j] - mean) / std::sqrt(SHARE);
                for (int i = first; i < first + SHARE; i++) {
                    dq[i] += change * all[j].k[i];
                    all[j].dk[i] += change * s.q[i];
                }
            }
        }
        apply_back<D, D>(w[2], s.normal, dq, g[2], dn);
        apply_back<D, D>(w[3], s.normal, s.dk, g[3], dn);
        apply_back<D, D>(w[4], s.normal, s.dv, g[4], dn);
        normalise_back(s.x, s.s1, dn, dout);
        normalise_back(s.e, s.s0, dout, de);
        for (int i = 0; i < D; i++) {
            g[0][token * D + i] += de[i];
            g[1][t * D + i] += de[i];
        }
    }
    return loss / steps;
}

// The mean loss and gradient of several names; `tokens` has CONTEXT + 1 numbers for each, of which its steps + 1 count.
extern "C" double gpt_batch(int names, const double *steps, const double *tokens, const double *parameters, int n,
                            double *gradient) {
    static thread_local std::vector<double> one;
    one.resize(n);
    std::fill(gradient, gradient + n, 0.0);
    double loss = 0;
    for (int i = 0; i < names; i++) {
        loss += gpt_step(static_cast<int>(steps[i]), tokens + i * (CONTEXT + 1), parameters, one.data());
        for (int k = 0; k < n; k++) gradient[k] += one[k] / names;
    }
    return loss / names;
}
