"""Sparse Jacobians and Hessians: our ``jit`` against CasADi and asdex (JAX), in one run.

    python benchmarks/sparse_derivatives.py [--peers PYTHON] [--only PROBLEM …]

with the problems "bundle whole", diffusion, collocation and chain. "prepare" has the pattern, the colouring, the
compilation and the first call. Results are the entries in the order of CSR. Ours is a new `scipy.sparse.csr_array` at
each call; CasADi's are in buffers that it writes to again. "blocks" of the bundle are derivatives of one observation,
mapped over all of them, without the step from there to a sparse matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import problems
import sparse_problems as given
from harness import Prepared, contender, parser, runner

Array = given.Array


def _prepared(fast: Any, *arguments: Array) -> Prepared:
    return Prepared(lambda: fast(*arguments), lambda result: [result.data], _figures(fast, *arguments))


def _figures(fast: Any, *arguments: Array) -> dict[str, float | str]:
    """How the entries are computed."""
    fast(*arguments)
    (figures,) = fast.stats()["sparse"]
    return {"entries": figures["entries"], "by": figures["method"]}


@contender("diffusion", "ours", "autograd.compiler", "scipy.sparse")
def _(w: Array) -> Prepared:
    from autograd import jacobian, jit

    return _prepared(jit(jacobian(lambda w: given.reaction_diffusion(w, np.concatenate), sparse=True)), w)


@contender("collocation", "ours", "autograd.compiler", "scipy.sparse")
def _(z: Array) -> Prepared:
    from autograd import jacobian, jit

    return _prepared(jit(jacobian(lambda z: given.collocation(z, np.concatenate, np), sparse=True)), z)


@contender("chain", "ours", "autograd.compiler", "scipy.sparse")
def _(q: Array) -> Prepared:
    import autograd.math as am
    from autograd import hessian, jit, vmap

    def rod(a: Any, b: Any, c: Any, d: Any) -> Any:
        length = am.sqrt((b - a) ** 2 + (d - c) ** 2)
        return 50.0 * (length * given.RODS - 1.0) ** 2

    def joint(xs: Any, ys: Any) -> Any:
        first, second = (xs[1] - xs[0], ys[1] - ys[0]), (xs[2] - xs[1], ys[2] - ys[1])
        turn = first[0] * second[1] - first[1] * second[0]
        lengths = am.sqrt((first[0] ** 2 + first[1] ** 2) * (second[0] ** 2 + second[1] ** 2))
        return 0.1 * (turn / lengths) ** 2

    def energy(q: Any) -> Any:
        x, y = q[: given.RODS + 1], q[given.RODS + 1 :]
        stretched = vmap(rod, reduce="sum")(x[:-1], x[1:], y[:-1], y[1:])
        bent = vmap(joint, reduce="sum")((x[:-2], x[1:-1], x[2:]), (y[:-2], y[1:-1], y[2:]))
        return stretched + bent + 9.81 * am.sum(y) / given.RODS

    return _prepared(jit(hessian(energy, sparse=True)), q)


@contender("bundle whole", "ours", "autograd.compiler", "scipy.sparse")
def _(p: Array, camera: Array, point: Array, features: Array) -> Prepared:
    import autograd.math as am
    from autograd import jacobian, jit, vmap

    def fixed(array: Array) -> Array:  # others are compared at every call, with what they were
        return np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)

    cameras_of, points_of, features = fixed(camera.astype(int)), fixed(point.astype(int)), fixed(features)

    def observation(camera: Any, point: Any, weight: Any, feature: Any) -> Any:
        parameters = [*camera, *point, weight]
        found = problems.bundle_residual(parameters, feature, am, problems.rotate_away_from_zero)
        return np.array(found), 1.0 - weight * weight

    def residuals(p: Any) -> Any:
        cameras, points, weights = given.of_bundle(p)
        projected, weighted = vmap(observation)(cameras[cameras_of], points[points_of], weights, features)
        return np.concatenate([projected.ravel(), weighted])

    return _prepared(jit(jacobian(residuals, sparse=True)), p)


CASADI = ["CasADi", "CasADi, as C"]
PROBLEMS: list[tuple[str, str, Any, list[tuple[str, str]], list[str]]] = [
    (
        f"Bundle adjustment, {problems.BUNDLE_OBSERVATIONS:,} observations, Jacobian",
        "bundle whole",
        given.bundle_data,
        [("cpp", "C++ objective")],
        ["CasADi, blocks", "CasADi, blocks, as C", "asdex"],
    ),
    (
        f"Reaction and diffusion at {given.DIFFUSION_POINTS:,} points, Jacobian",
        "diffusion",
        given.diffusion_data,
        [],
        [*CASADI, "asdex"],
    ),
    (
        f"Collocation with {given.INTERVALS} intervals, Jacobian",
        "collocation",
        given.collocation_data,
        [],
        [*CASADI, "asdex"],
    ),
    (f"A chain of {given.RODS:,} rods, Hessian", "chain", given.chain_data, [], [*CASADI, "asdex"]),
]


def main() -> None:
    """Run the problems that the command line names, or all."""
    arguments = parser(__doc__).parse_args()
    run = runner(arguments).run
    for title, problem, data, references, peers in PROBLEMS:
        if arguments.only is None or problem in arguments.only:
            ours = "sparse_derivatives", "ours"
            run(title, problem, data(), [*references, ours, *(("peers", peer) for peer in peers)])


if __name__ == "__main__":
    main()
