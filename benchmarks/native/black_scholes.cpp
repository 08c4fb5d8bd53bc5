// The Black-Scholes price of European call options, one option per row of five arrays, scalar C++.

#include <cmath>

namespace {

double normal_cdf(double x) { return 0.5 * std::erfc(-x * M_SQRT1_2); }

}  // namespace

extern "C" void black_scholes(int n, const double *spot, const double *strike, const double *rate,
                              const double *volatility, const double *maturity, double *price) {
    for (int i = 0; i < n; i++) {
        double deviation = volatility[i] * std::sqrt(maturity[i]);
        double drift = (rate[i] + 0.5 * volatility[i] * volatility[i]) * maturity[i];
        double d1 = (std::log(spot[i] / strike[i]) + drift) / deviation;
        double discounted = strike[i] * std::exp(-rate[i] * maturity[i]);
        price[i] = spot[i] * normal_cdf(d1) - discounted * normal_cdf(d1 - deviation);
    }
}
