// Log-posterior of a Gaussian mixture with a Wishart prior, the objective of the ADBench suite
// (Srajer, Kukelova, Fitzgibbon, "A benchmark of selected algorithmic differentiation tools", 2018), scalar C++.
//
// k components in d dimensions, n points. icf holds per component the logarithms of the diagonal of the inverse
// covariance factor (d numbers), then its strictly lower triangle column by column (d (d - 1) / 2 numbers).

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

double log_sum_exp(const double *values, int count) {
    double largest = *std::max_element(values, values + count);
    double total = 0;
    for (int i = 0; i < count; i++) total += std::exp(values[i] - largest);
    return std::log(total) + largest;
}

// || Q (x - mean) ||^2 for the triangular factor Q given by its diagonal and its strict lower triangle.
double squared_distance(int d, const double *x, const double *mean, const double *diagonal,
                        const double *triangle, double *centred, double *transformed) {
    for (int i = 0; i < d; i++) {
        centred[i] = x[i] - mean[i];
        transformed[i] = diagonal[i] * centred[i];
    }
    for (int i = 0; i < d; i++)
        for (int j = i + 1; j < d; j++) transformed[j] += *triangle++ * centred[i];
    double total = 0;
    for (int i = 0; i < d; i++) total += transformed[i] * transformed[i];
    return total;
}

double log_multivariate_gamma(double a, int d) {
    double total = 0.25 * d * (d - 1) * std::log(M_PI);
    for (int j = 1; j <= d; j++) total += std::lgamma(a + 0.5 * (1 - j));
    return total;
}

}  // namespace

extern "C" double gmm_objective(int d, int k, int n, const double *alphas, const double *means, const double *icf,
                                const double *x, double wishart_gamma, int wishart_m) {
    const int width = d * (d + 1) / 2;
    std::vector<double> diagonals(k * d), log_determinants(k), terms(k), centred(d), transformed(d);
    double penalty = 0;
    for (int c = 0; c < k; c++) {
        const double *factor = icf + c * width;
        double squares = 0;
        for (int i = 0; i < d; i++) {
            diagonals[c * d + i] = std::exp(factor[i]);
            log_determinants[c] += factor[i];
            squares += diagonals[c * d + i] * diagonals[c * d + i];
        }
        for (int i = d; i < width; i++) squares += factor[i] * factor[i];
        penalty += 0.5 * wishart_gamma * wishart_gamma * squares - wishart_m * log_determinants[c];
    }
    double likelihood = 0;
    for (int row = 0; row < n; row++) {
        for (int c = 0; c < k; c++)
            terms[c] = alphas[c] + log_determinants[c] -
                       0.5 * squared_distance(d, x + row * d, means + c * d, &diagonals[c * d],
                                              icf + c * width + d, centred.data(), transformed.data());
        likelihood += log_sum_exp(terms.data(), k);
    }
    const int freedom = d + wishart_m + 1;
    const double constant = freedom * d * (std::log(wishart_gamma) - 0.5 * std::log(2.0)) -
                            log_multivariate_gamma(0.5 * freedom, d);
    return -0.5 * n * d * std::log(2 * M_PI) + likelihood - n * log_sum_exp(alphas, k) + penalty - k * constant;
}
