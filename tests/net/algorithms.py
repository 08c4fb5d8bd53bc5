"""Well-known algorithms as plain Python loops: functions of a list of numbers and a size, with a list as result."""

BRANCHING = ("edit", "shortest", "newton", "interpolated")  # each row takes a path of its own
ALGORITHMS = {
    "lu": """
def lu(v, n):
    M = [[v[(3 * i + j) % len(v)] * 0.3 + (2.0 if i == j else 0.0) for j in range(n)] for i in range(n)]
    for k in range(n):
        for i in range(k + 1, n):
            M[i][k] = M[i][k] / M[k][k]
            for j in range(k + 1, n):
                M[i][j] -= M[i][k] * M[k][j]
    return [row[i] for i, row in enumerate(M)]
""",
    "cholesky": """
def cholesky(v, n):
    L = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(i + 1):
            s = v[i] * v[j] * 0.1 + (3.0 if i == j else 0.0)
            for k in range(j):
                s = s - L[i][k] * L[j][k]
            L[i][j] = am.sqrt(s) if i == j else s / L[j][j]
    return [sum(row) for row in L]
""",
    "attention": """
def attention(v, n):
    out, at = [], lambda i, k: v[(2 * i + k) % len(v)]
    for i in range(n):
        scores = [sum([at(i, k) * at(j, k + 1) for k in range(2)]) for j in range(i + 1)]
        top = am.max(scores)
        weights = [am.exp(s - top) for s in scores]
        total = sum(weights)
        out += [sum([weights[j] / total * at(j, k) for j in range(i + 1)]) for k in range(2)]
    return out
""",
    "edit": """
def edit(v, n):
    row = [0.5 * j for j in range(n + 1)]
    for i in range(n):
        new = [row[0] + 0.5]
        for j in range(n):
            new.append(min(row[j] + (v[i % len(v)] - v[(j + 3) % len(v)]) ** 2, row[j + 1] + 0.5, new[j] + 0.7))
        row = new
    return row
""",
    "soft_edit": """
def soft_edit(v, n):
    T = [[0.1 * (i + j) for j in range(n + 1)] for i in range(n + 1)]
    for i in range(1, n + 1):
        for j in range(1, n + 1):
            ways = [-T[i - 1][j], -T[i][j - 1], -T[i - 1][j - 1]]
            T[i][j] = (v[i % len(v)] - v[j % len(v)]) ** 2 - am.logsumexp(ways)
    return T[n]
""",
    "butterflies": """
def butterflies(v, n):
    size = 2 ** (n % 5)
    u = [v[i % len(v)] for i in range(size)]
    width = 1
    while width < size:
        for start in range(0, size, 2 * width):
            for k in range(start, start + width):
                angle = math.pi * (k - start) / width
                low, high = u[k], u[k + width] * math.cos(angle)
                u[k], u[k + width] = 0.7 * (low + high), 0.7 * (low - high)
        width *= 2
    return u
""",
    "tridiagonal": """
def tridiagonal(v, n):
    c, d = [], []
    for i in range(n):
        below = 0.3 * v[i % len(v)] if i else 0.0
        pivot = 2.0 + 0.1 * v[(i + 1) % len(v)] - (below * c[i - 1] if i else 0.0)
        c.append(0.5 / pivot)
        d.append((v[(2 * i) % len(v)] - (below * d[i - 1] if i else 0.0)) / pivot)
    for i in range(n - 2, -1, -1):
        d[i] = d[i] - c[i] * d[i + 1]
    return d
""",
    "shortest": """
def shortest(v, n):
    D = [[abs(v[(i + 2 * j) % len(v)]) + 0.1 * abs(i - j) for j in range(n)] for i in range(n)]
    for k in range(n):
        for i in range(n):
            for j in range(n):
                if D[i][k] + D[k][j] < D[i][j]:
                    D[i][j] = D[i][k] + D[k][j]
    return [sum(row) for row in D]
""",
    "network": """
def network(v, n):
    u = [v[i % len(v)] * (1.0 + 0.1 * i) for i in range(n)]
    for step in range(n):
        for i in range(step % 2, n - 1, 2):
            u[i], u[i + 1] = am.min(u[i], u[i + 1]), am.max(u[i], u[i + 1])
    return u
""",
    "prefix": """
def prefix(v, n):
    sums, product, best = [0.0], 1.0, v[0]
    for i in range(n):
        sums.append(sums[-1] + v[i % len(v)])
        product = product * (1.0 + 0.01 * v[i % len(v)])
        best = am.max(best, sums[-1] - sums[max(0, i - 4)])
    return [*sums[-3:], product, best, *[sums[i + 1] - 2.0 * sums[i] for i in range(n)]]
""",
    "differences": """
def differences(v, n):
    table = [v[i % len(v)] for i in range(n)]
    for order in range(1, n):
        for i in range(n - 1, order - 1, -1):
            table[i] = (table[i] - table[i - 1]) / (0.5 * order + 0.1)
    y = 0.0
    for a in reversed(table):
        y = y * 0.3 + a
    return [y, *table[:3]]
""",
    "sweeps": """
def sweeps(v, n):
    u = [v[i % len(v)] for i in range(n + 2)]
    for _ in range(3):
        for i in range(1, n + 1):
            u[i] = 0.25 * (u[i - 1] + u[i + 1]) + 0.1 * v[i % len(v)]
    return u
""",
    "bodies": """
def bodies(v, n):
    n = max(n, 1) % 5
    place, speed = [v[i % len(v)] + 0.5 * i for i in range(n)], [0.1 * v[(i + 1) % len(v)] for i in range(n)]
    for _ in range(6):
        force = [0.0] * n
        for i in range(n):
            for j in range(n):
                if i != j:
                    d = place[j] - place[i]
                    force[i] = force[i] + d / (d * d + 0.5) ** 1.5
        for i in range(n):
            speed[i] = speed[i] + 0.1 * force[i]
            place[i] = place[i] + 0.1 * speed[i]
    return place + speed
""",
    "polynomials": """
def polynomials(v, n):
    product = [1.0]
    for i in range(min(n, 8)):
        new = [0.0] * (len(product) + 1)
        for j, a in enumerate(product):
            new[j] += a * v[i % len(v)] * 0.4
            new[j + 1] += a
        product = new
    return product
""",
    "forward": """
def forward(v, n):
    alpha = [v[0], v[1], v[2]]
    for t in range(n):
        before = [[a + 0.3 * v[(i + j) % len(v)] for i, a in enumerate(alpha)] for j in range(3)]
        alpha = [am.logsumexp(terms) - 1.0 + 0.1 * v[t % len(v)] for terms in before]
    return alpha
""",
    "cells": """
def cells(v, n):
    h, c = [0.0, 0.0], [v[0], v[1]]
    for t in range(n):
        z = [[v[(4 * k + i) % len(v)] * v[t % len(v)] + h[i] * v[(k + i) % len(v)] for k in range(4)] for i in range(2)]
        c = [am.sigmoid(z[i][0]) * c[i] + am.sigmoid(z[i][1]) * am.tanh(z[i][2]) for i in range(2)]
        h = [am.sigmoid(z[i][3]) * am.tanh(c[i]) for i in range(2)]
    return h + c
""",
    "convolution": """
def convolution(v, n):
    image = [[v[(i + 2 * j) % len(v)] for j in range(n + 2)] for i in range(4)]
    out = []
    for i in range(2):
        for j in range(n):
            s = 0.0
            for a in range(3):
                for b in range(3):
                    s += image[i + a][j + b] * v[(a + b) % len(v)]
            out.append(am.relu(s))
    return [sum(out), *out[:3]]
""",
    "newton": """
def newton(v, n):
    roots = []
    for i in range(n):
        y = 1.0 + 0.0 * v[0]
        for _ in range(12):
            step = (y * y - abs(v[i % len(v)]) - 0.5) / (2.0 * y)
            y = y - step
            if abs(step) < 1e-3:
                break
        roots.append(y)
    return roots
""",
    "sinkhorn": """
def sinkhorn(v, n):
    n = min(n, 5)
    K = [[am.exp(-((v[i % len(v)] - v[(j + 2) % len(v)]) ** 2)) for j in range(n)] for i in range(n)]
    a, b = [1.0] * n, [1.0] * n
    for _ in range(4):
        a = [1.0 / sum([K[i][j] * b[j] for j in range(n)]) for i in range(n)]
        b = [1.0 / sum([K[i][j] * a[i] for i in range(n)]) for j in range(n)]
    return a + b
""",
    "products": """
def products(v, n):
    A = [[v[(i * n + j) % len(v)] for j in range(n)] for i in range(n)]
    B = [[am.sin(v[(i + n * j) % len(v)]) for j in range(3)] for i in range(n)]
    C = [[sum([A[i][k] * B[k][j] for k in range(n)]) for j in range(3)] for i in range(n)]
    return [am.tanh(C[i][j]) for i in range(n) for j in range(3) if (i + j) % 2]
""",
    "interpolated": """
def interpolated(v, n):
    out = []
    for i in range(n):
        place = 0.5 * i * (1.0 + 0.1 * am.sin(v[i % len(v)]))
        k = int(place.data if isinstance(place, Value) else place)
        out.append(v[k % len(v)] + (place - k) * (v[(k + 1) % len(v)] - v[k % len(v)]) + am.take(v[:7], place))
    return out
""",
    "queue": """
def queue(v, n):
    waiting, seen = [v[0], v[1], v[2]], []
    for i in range(n):
        a = waiting.pop(0)
        waiting.append(0.5 * a + am.tanh(waiting[0] * v[i % len(v)]))
        seen.insert(0, a)
    return waiting + seen[:4]
""",
}
