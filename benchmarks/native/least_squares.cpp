// f(x) = 1/2 || A x - b ||^2 with a dense A of m rows and n columns, plain loops over rows, scalar C++.

extern "C" double least_squares(int m, int n, const double *a, const double *b, const double *x) {
    double total = 0;
    for (int i = 0; i < m; i++) {
        double residual = -b[i];
        for (int j = 0; j < n; j++) residual += a[i * n + j] * x[j];
        total += residual * residual;
    }
    return 0.5 * total;
}
