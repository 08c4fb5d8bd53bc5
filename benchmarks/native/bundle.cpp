// Bundle adjustment: the reprojection residual of the ADBench suite, scalar C++.
//
// camera = rotation[3] centre[3] focal principal[2] radial[2]; a point is turned into the camera's frame (Rodrigues'
// formula), projected, distorted by 1 + k1 r^2 + k2 r^4, scaled, shifted, compared with the observed feature
// and weighted: 11 + 3 + 1 parameters to 2 residuals. Every observation has its own row of 15 parameters.

#include <cmath>

namespace {

void cross(const double *a, const double *b, double *out) {
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

void rotate(const double *rotation, const double *x, double *out) {
    double squared = rotation[0] * rotation[0] + rotation[1] * rotation[1] + rotation[2] * rotation[2];
    double product[3];
    if (squared == 0) {
        cross(rotation, x, product);
        for (int i = 0; i < 3; i++) out[i] = x[i] + product[i];
        return;
    }
    double theta = std::sqrt(squared), cosine = std::cos(theta), sine = std::sin(theta);
    double axis[3] = {rotation[0] / theta, rotation[1] / theta, rotation[2] / theta};
    cross(axis, x, product);
    double along = (axis[0] * x[0] + axis[1] * x[1] + axis[2] * x[2]) * (1 - cosine);
    for (int i = 0; i < 3; i++) out[i] = x[i] * cosine + product[i] * sine + axis[i] * along;
}

}  // namespace

// parameters: n rows of 15, features: n rows of 2, residuals: n rows of 2 to be filled.
extern "C" void bundle_residuals(int n, const double *parameters, const double *features, double *residuals) {
    for (int row = 0; row < n; row++) {
        const double *camera = parameters + 15 * row, *point = camera + 11, weight = camera[14];
        double centred[3], seen[3];
        for (int i = 0; i < 3; i++) centred[i] = point[i] - camera[3 + i];
        rotate(camera, centred, seen);
        double u = seen[0] / seen[2], v = seen[1] / seen[2], r2 = u * u + v * v;
        double distortion = 1 + r2 * (camera[9] + r2 * camera[10]);
        residuals[2 * row] = weight * (camera[7] + camera[6] * distortion * u - features[2 * row]);
        residuals[2 * row + 1] = weight * (camera[8] + camera[6] * distortion * v - features[2 * row + 1]);
    }
}

// The same residuals, and 1 - w^2 of the weights: n rows of 3. p has the cameras, the points and the weights; camera and
// point say which of them each feature is of (as doubles).
extern "C" void bundle_whole(int n, const double *p, const double *camera, const double *point, const double *features,
                             int cameras, int points, double *residuals) {
    const double *all_points = p + 11 * cameras, *weights = all_points + 3 * points;
    for (int row = 0; row < n; row++) {
        const double *of_camera = p + 11 * (int)camera[row], *of_point = all_points + 3 * (int)point[row];
        double weight = weights[row], centred[3], seen[3];
        for (int i = 0; i < 3; i++) centred[i] = of_point[i] - of_camera[3 + i];
        rotate(of_camera, centred, seen);
        double u = seen[0] / seen[2], v = seen[1] / seen[2], r2 = u * u + v * v;
        double distortion = 1 + r2 * (of_camera[9] + r2 * of_camera[10]);
        residuals[3 * row] = weight * (of_camera[7] + of_camera[6] * distortion * u - features[2 * row]);
        residuals[3 * row + 1] = weight * (of_camera[8] + of_camera[6] * distortion * v - features[2 * row + 1]);
        residuals[3 * row + 2] = 1 - weight * weight;
    }
}
