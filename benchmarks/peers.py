"""The peers, each with the problem in its fastest form; this module runs in the peers' own environment.

A contender returns ndarrays or numbers, read at the end of a call, as its user would need them. "buffers" and
"device arrays" mean that inputs and outputs are ready in the library's own form, which is its best case.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np

import loops
import plain_value
import problems
import sparse_problems
import steps
from harness import C_LEVEL, C_SECONDS, Prepared, StoppedError, contender

Array = problems.Array


# --- JAX ---------------------------------------------------------------------------------------------------------


def _jax() -> tuple[Any, Any, Any]:
    """jax, jax.numpy and the mathematical functions that `problems` needs, in double precision."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    names = ("exp", "log", "sqrt", "sin", "cos", "tanh")
    m = SimpleNamespace(
        **{name: getattr(jnp, name) for name in names},
        erfc=lambda x: 1 - jax.scipy.special.erf(x),  # faster here than XLA's erfc
        relu=jax.nn.relu,
        logsumexp=lambda terms: jax.nn.logsumexp(jnp.stack(terms)),
    )
    return jax, jnp, m


def _jax_mlp_score(p: Any, x: Any) -> Any:
    import jax

    hidden = jax.nn.relu(x @ p[:32].reshape(16, 2).T + p[32:48])
    hidden = jax.nn.relu(hidden @ p[48:304].reshape(16, 16).T + p[304:320])
    return hidden @ p[320:336] + p[336]


def _jax_mlp_loss(p: Any, x: Any, y: Any) -> Any:
    import jax

    return jax.nn.relu(1 - y * _jax_mlp_score(p, x)).mean() + problems.MLP_DECAY * (p * p).sum()


def _jax_ready(function: Callable[..., Any], *arguments: Array) -> Prepared:
    """``jit(function)`` on device arrays; the call waits for the results, which stay on the device."""
    import jax
    import jax.numpy as jnp

    compiled, ready = jax.jit(function), [jnp.asarray(a) for a in arguments]
    return Prepared(lambda: jax.block_until_ready(compiled(*ready)), jax.tree.leaves)


@contender("mlp", "JAX, device arrays", "jax")
def _(parameters: Array, x: Array, y: Array) -> Prepared:
    jax, _, _ = _jax()
    return _jax_ready(jax.value_and_grad(_jax_mlp_loss), parameters, x, y)


@contender("mlp", "JAX, device arrays, vmap", "jax")
def _(parameters: Array, x: Array, y: Array) -> Prepared:
    jax, _, _ = _jax()

    def loss(p: Any, x: Any, y: Any) -> Any:
        losses = jax.vmap(lambda x, y: jax.nn.relu(1 - y * _jax_mlp_score(p, x)))(x, y)
        return losses.mean() + problems.MLP_DECAY * (p * p).sum()

    return _jax_ready(jax.value_and_grad(loss), parameters, x, y)


@contender("mlp", "JAX, data compiled in, gradient donated", "jax")
def _(parameters: Array, x: Array, y: Array) -> Prepared:
    jax, jnp, _ = _jax()
    p, x, y = jnp.asarray(parameters), jnp.asarray(x), jnp.asarray(y)

    def reusing(p: Any, _: Any) -> Any:
        return jax.value_and_grad(_jax_mlp_loss)(p, x, y)

    compiled = jax.jit(reusing, donate_argnums=1, keep_unused=True)
    gradient = jnp.zeros_like(p)

    def step() -> Any:
        nonlocal gradient
        value, gradient = compiled(p, gradient)
        return jax.block_until_ready((value, gradient))

    return Prepared(step)


@contender("mlp", "JAX, ndarrays", "jax")
def _(parameters: Array, x: Array, y: Array) -> Prepared:
    jax, _, _ = _jax()
    compiled = jax.jit(jax.value_and_grad(_jax_mlp_loss))

    def step() -> tuple[float, Array]:
        value, gradient = compiled(parameters, x, y)
        return float(value), np.asarray(gradient)

    return Prepared(step)


@contender("gmm", "JAX, device arrays", "jax")
def _(alphas: Array, means: Array, icf: Array, x: Array) -> Prepared:
    jax, jnp, _ = _jax()
    (n, d), k = x.shape, len(alphas)
    columns, rows = np.triu_indices(d, 1)  # the strict lower triangle, column by column

    def log_posterior(alphas: Any, means: Any, icf: Any, x: Any) -> Any:
        diagonals, triangles = jnp.exp(icf[:, :d]), icf[:, d:]
        factors = jnp.zeros((k, d, d)).at[:, rows, columns].set(triangles)
        factors = factors.at[:, np.arange(d), np.arange(d)].set(diagonals)
        moved = jnp.einsum("kij,nkj->nki", factors, x[:, None] - means)
        terms = alphas + icf[:, :d].sum(1) - 0.5 * (moved**2).sum(2)
        wishart = 0.5 * problems.WISHART_GAMMA**2 * ((diagonals**2).sum() + (triangles**2).sum())
        wishart -= problems.WISHART_M * icf[:, :d].sum()
        likelihood = jax.nn.logsumexp(terms, axis=1).sum() - n * jax.nn.logsumexp(alphas)
        return likelihood + wishart + problems.gmm_constant(n, k, d)

    return _jax_ready(jax.value_and_grad(log_posterior, argnums=(0, 1, 2)), alphas, means, icf, x)


@contender("bundle", "JAX, device arrays", "jax")
def _(parameters: Array, features: Array) -> Prepared:
    jax, jnp, m = _jax()

    def residual(p: Any, feature: Any) -> Any:
        return jnp.stack(problems.bundle_residual(p, feature, m, problems.rotate_away_from_zero))

    return _jax_ready(jax.vmap(jax.jacrev(residual)), parameters, features)


@contender("least squares", "JAX, device arrays", "jax")
def _(a: Array, b: Array, x: Array) -> Prepared:
    jax, _, _ = _jax()

    def objective(x: Any, a: Any, b: Any) -> Any:
        residual = a @ x - b
        return 0.5 * (residual @ residual)

    return _jax_ready(jax.value_and_grad(objective), x, a, b)


@contender("options", "JAX, device arrays", "jax")
def _(**columns: Array) -> Prepared:
    jax, _, m = _jax()
    everything = tuple(range(5))

    def price(*arguments: Any) -> Any:
        return problems.black_scholes(*arguments, m=m)

    def greeks(*arguments: Any) -> Any:
        value, first = jax.value_and_grad(price, everything)(*arguments)
        second = jax.hessian(price, everything)(*arguments)
        return value, first, [second[i][j] for i in range(5) for j in range(i, 5)]

    return _jax_ready(jax.vmap(greeks), *(columns[name] for name in problems.OPTION_ARGUMENTS))


@contender("rosenbrock", "JAX, device arrays", "jax")
def _(x: Array) -> Prepared:
    jax, jnp, _ = _jax()

    def vector_rosenbrock(x: Any) -> Any:
        return jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)

    return _jax_ready(jax.value_and_grad(vector_rosenbrock), x)


@contender("expression", "JAX, device arrays", "jax")
def _(x: Array) -> Prepared:
    jax, _, m = _jax()
    return _jax_ready(jax.value_and_grad(lambda x: problems.expression(*x, m=m)), x)


# --- JAX, problems with loops: whole arrays within a step, `lax.scan` over the steps ------------------------------


@contender("lstm", "JAX, device arrays", "jax")
def _(main: Array, extra: Array, state: Array, sequence: Array) -> Prepared:
    jax, jnp, _ = _jax()

    def loss(main: Any, extra: Any, state: Any, sequence: Any) -> Any:
        def step(state: Any, pair: Any) -> Any:
            x, rows = extra[0] * pair[0], []
            for w, (hidden, cell) in zip(main, state, strict=True):
                forget, enter = jax.nn.sigmoid(x * w[0] + w[4]), jax.nn.sigmoid(hidden * w[1] + w[5])
                leave, change = jax.nn.sigmoid(x * w[2] + w[6]), jnp.tanh(hidden * w[3] + w[7])
                cell = cell * forget + enter * change
                x = leave * jnp.tanh(cell)
                rows.append(jnp.stack([x, cell]))
            y = x * extra[1] + extra[2]
            return jnp.stack(rows), jnp.sum(pair[1] * (y - jnp.log(jnp.sum(jnp.exp(y)))))

        _, gains = jax.lax.scan(step, state, (sequence[:-1], sequence[1:]))
        return -jnp.sum(gains) / ((loops.LSTM_STEPS - 1) * loops.LSTM_WIDTH)

    return _jax_ready(jax.value_and_grad(loss, (0, 1)), main, extra, state, sequence)


@contender("k-means", "JAX, device arrays", "jax")
def _(centres: Array, direction: Array, points: Array) -> Prepared:
    jax, jnp, _ = _jax()

    def cost(centres: Any, points: Any) -> Any:
        return jnp.sum(jnp.min(jnp.sum((points[:, None] - centres) ** 2, axis=2), axis=1))

    def product(centres: Any, direction: Any, points: Any) -> Any:
        return jax.jvp(lambda c: jax.grad(cost)(c, points), (centres,), (direction,))[1]

    return _jax_ready(product, centres, direction, points)


@contender("determinant", "JAX, device arrays", "jax")
def _(matrix: Array) -> Prepared:
    jax, jnp, _ = _jax()
    return _jax_ready(jax.value_and_grad(lambda matrix: jnp.linalg.slogdet(matrix)[1]), matrix)


@contender("lorenz", "JAX, device arrays", "jax")
def _(start: Array, parameters: Array) -> Prepared:
    jax, jnp, _ = _jax()
    h = loops.ODE_TIME / loops.ODE_STEPS

    def end(start: Any, parameters: Any) -> Any:
        sigma, rho, beta = parameters

        def slope(p: Any) -> Any:
            return jnp.stack([sigma * (p[1] - p[0]), p[0] * (rho - p[2]) - p[1], p[0] * p[1] - beta * p[2]])

        def step(p: Any, _: Any) -> Any:
            k1 = slope(p)
            k2 = slope(p + h / 2 * k1)
            k3 = slope(p + h / 2 * k2)
            k4 = slope(p + h * k3)
            return p + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None

        return jax.lax.scan(step, start, length=loops.ODE_STEPS)[0][0]

    return _jax_ready(jax.value_and_grad(end, (0, 1)), start, parameters)


@contender("heat", "JAX, device arrays", "jax")
def _(initial: Array, conduction: Array, target: Array) -> Prepared:
    jax, jnp, _ = _jax()

    def misfit(initial: Any, conduction: Any, target: Any) -> Any:
        def step(u: Any, _: Any) -> Any:
            inner = u[1:-1] + conduction * (u[:-2] - 2 * u[1:-1] + u[2:])
            return jnp.concatenate([u[:1], inner, u[-1:]]), None

        end, _ = jax.lax.scan(step, initial, length=loops.HEAT_STEPS)
        return jnp.sum((end - target) ** 2)

    return _jax_ready(jax.value_and_grad(misfit, (0, 1)), initial, conduction, target)


@contender("bodies", "JAX, device arrays", "jax")
def _(places: Array, speeds: Array, masses: Array) -> Prepared:
    jax, jnp, _ = _jax()
    time, softening = 1e-3, 0.05

    def energy(places: Any, speeds: Any, masses: Any) -> Any:
        def step(carry: Any, _: Any) -> Any:
            places, speeds = carry
            d = places - places[:, None]
            square = jnp.sum(d * d, axis=2) + softening
            speeds = speeds + time * jnp.sum((masses / (square * jnp.sqrt(square)))[:, :, None] * d, axis=1)
            return (places + time * speeds, speeds), None

        (_, end), _ = jax.lax.scan(step, (places, speeds), length=loops.BODY_STEPS)
        return 0.5 * jnp.sum(masses[:, None] * end * end)

    return _jax_ready(jax.value_and_grad(energy, (0, 1, 2)), places, speeds, masses)


@contender("logsumexp", "JAX, device arrays", "jax")
def _(x: Array) -> Prepared:
    jax, _, _ = _jax()
    return _jax_ready(jax.value_and_grad(jax.nn.logsumexp), x)


@contender("asian", "JAX, device arrays", "jax")
def _(contract: Array, normals: Array) -> Prepared:
    jax, jnp, _ = _jax()

    def price(contract: Any, normals: Any) -> Any:
        spot, strike, rate, volatility, maturity = contract
        day = maturity / loops.ASIAN_DAYS
        drift, deviation = (rate - 0.5 * volatility * volatility) * day, volatility * jnp.sqrt(day)
        prices = spot * jnp.exp(jnp.cumsum(drift + deviation * normals, axis=1))
        return jnp.exp(-rate * maturity) * jnp.mean(jax.nn.relu(jnp.mean(prices, axis=1) - strike))

    return _jax_ready(jax.value_and_grad(price), contract, normals)


def _jax_search(function: Any, start: Array) -> Prepared:
    """Gradients in forward mode: JAX has no reverse derivative of a `while_loop`."""
    jax, jnp, _ = _jax()
    m = SimpleNamespace(sqrt=jnp.sqrt, where=jnp.where, min=lambda terms: jnp.min(jnp.stack(terms)))
    given = {"m": m, "grad": jax.jacfwd, "while_loop": jax.lax.while_loop}
    return _jax_ready(lambda start: jnp.stack(function([*start], **given)), start)


@contender("saddle", "JAX, device arrays", "jax")
def _(start: Array) -> Prepared:
    return _jax_search(loops.saddle, start)


@contender("particle", "JAX, device arrays", "jax")
def _(start: Array) -> Prepared:
    return _jax_search(loops.particle, start)


@contender("gpt", "JAX, device arrays", "jax")
def _(parameters: Array, name: str) -> Prepared:
    import microgpt

    jax, _, _ = _jax()
    numbers = microgpt.tokens(name).astype(int)
    return _jax_ready(jax.value_and_grad(lambda parameters: _jax_gpt_losses(parameters, numbers).mean()), parameters)


@contender("gpt batch", "JAX, device arrays", "jax")
def _(parameters: Array, tokens: Array, steps: Array) -> Prepared:
    jax, jnp, _ = _jax()
    numbers = tokens[:, : int(max(steps)) + 1].astype(int)

    def loss(parameters: Any, numbers: Any, steps: Any) -> Any:
        losses = jax.vmap(_jax_gpt_losses, in_axes=(None, 0))(parameters, numbers)
        counted = jnp.arange(losses.shape[1]) < steps[:, None]
        return jnp.mean(jnp.sum(jnp.where(counted, losses, 0.0), axis=1) / steps)

    return _jax_ready(jax.value_and_grad(loss), parameters, numbers, steps)


def _jax_gpt_losses(parameters: Any, tokens: Any) -> Any:
    """The surprise of the small GPT at each token after the first."""
    import jax
    import jax.numpy as jnp

    import microgpt

    def normalised(x: Any) -> Any:
        return x * ((x * x).mean(axis=1, keepdims=True) + 1e-5) ** -0.5

    before, after, steps = tokens[:-1], tokens[1:], len(tokens) - 1
    hidden = jnp.triu(jnp.full((steps, steps), -jnp.inf), 1)
    w = microgpt.matrices(parameters)
    x = normalised(w["token"][before] + w["position"][:steps])
    q, k, v = [(normalised(x) @ w[name].T).reshape(steps, 4, 4) for name in ("query", "key", "value")]
    weights = jax.nn.softmax(jnp.einsum("thi,shi->hts", q, k) / 2.0 + hidden)
    x = x + jnp.einsum("hts,shi->thi", weights, v).reshape(steps, 16) @ w["mix"].T
    x = x + (jax.nn.relu(normalised(x) @ w["expand"].T) ** 2) @ w["contract"].T
    logits = x @ w["answer"].T
    return jax.nn.logsumexp(logits, axis=1) - logits[jnp.arange(steps), after]


# --- PyTorch -----------------------------------------------------------------------------------------------------


def _torch_mlp_loss(p: Any, x: Any, y: Any) -> Any:
    from torch.nn.functional import linear, relu

    hidden = relu(linear(x, p[:32].view(16, 2), p[32:48]))
    hidden = relu(linear(hidden, p[48:304].view(16, 16), p[304:320]))
    score = linear(hidden, p[320:336].view(1, 16), p[336:])[:, 0]
    return relu(1 - y * score).mean() + problems.MLP_DECAY * p.dot(p)


def _torch_eager(loss: Callable[..., Any], variable: Array, *constants: Array) -> Prepared:
    import torch

    torch.set_num_threads(1)
    leaf = torch.from_numpy(variable).requires_grad_()
    tensors = [torch.from_numpy(array) for array in constants]

    def step() -> tuple[float, Array]:
        value = loss(leaf, *tensors)
        (gradient,) = torch.autograd.grad(value, leaf)
        return value.item(), gradient.numpy()

    return Prepared(step)


@contender("mlp", "PyTorch", "torch")
def _(parameters: Array, x: Array, y: Array) -> Prepared:
    return _torch_eager(_torch_mlp_loss, parameters, x, y)


@contender("mlp", "PyTorch, torch.compile", "torch", "torch._inductor")
def _(parameters: Array, x: Array, y: Array) -> Prepared:
    import torch

    torch.set_num_threads(1)
    tensors = [torch.from_numpy(array) for array in (parameters, x, y)]
    compiled = torch.compile(torch.func.grad_and_value(_torch_mlp_loss), fullgraph=True)

    def step() -> tuple[float, Array]:
        with torch.no_grad():
            gradient, value = compiled(*tensors)
        return value.item(), gradient.numpy()

    return Prepared(step)


@contender("least squares", "PyTorch", "torch")
def _(a: Array, b: Array, x: Array) -> Prepared:
    def objective(x: Any, a: Any, b: Any) -> Any:
        residual = a @ x - b
        return 0.5 * residual.dot(residual)

    return _torch_eager(objective, x, a, b)


@contender("gpt", "PyTorch", "torch")
def _(parameters: Array, name: str) -> Prepared:
    import torch

    import microgpt

    numbers = torch.from_numpy(microgpt.tokens(name)).long()
    before, after, steps = numbers[:-1], numbers[1:], len(numbers) - 1
    hidden = torch.triu(torch.full((steps, steps), -torch.inf, dtype=torch.float64), 1)

    def normalised(x: Any) -> Any:
        return x * ((x * x).mean(dim=1, keepdim=True) + 1e-5) ** -0.5

    def loss(parameters: Any) -> Any:
        w = microgpt.matrices(parameters)
        x = normalised(w["token"][before] + w["position"][:steps])
        q, k, v = [(normalised(x) @ w[name].T).reshape(steps, 4, 4) for name in ("query", "key", "value")]
        weights = torch.softmax(torch.einsum("thi,shi->hts", q, k) / 2.0 + hidden, dim=2)
        x = x + torch.einsum("hts,shi->thi", weights, v).reshape(steps, 16) @ w["mix"].T
        x = x + (torch.relu(normalised(x) @ w["expand"].T) ** 2) @ w["contract"].T
        return torch.nn.functional.cross_entropy(x @ w["answer"].T, after)

    return _torch_eager(loss, parameters)


# --- CasADi ------------------------------------------------------------------------------------------------------

LEVEL = os.environ.get(C_LEVEL, "-O3")
SECONDS = int(os.environ.get(C_SECONDS, "600"))
IN_C = {
    "jit": True,
    "jit_cleanup": False,
    "compiler": "shell",
    "jit_options": {
        "compiler": f"ulimit -t {SECONDS} && gcc",  # a command of the shell; the limit is processor time
        "flags": [LEVEL, "-march=native"],
        "cleanup": False,
    },
}


def _casadi() -> tuple[Any, Any]:
    import casadi

    names = ("exp", "log", "sqrt", "sin", "cos", "tanh")
    m = SimpleNamespace(
        **{name: getattr(casadi, name) for name in names},
        erfc=lambda x: 1 - casadi.erf(x),
        relu=lambda x: casadi.fmax(x, 0),
        logsumexp=lambda terms: casadi.logsumexp(casadi.vertcat(*terms)),
    )
    return casadi, m


def _casadi_function(inputs: list[Any], outputs: list[Any], in_c: bool) -> Any:
    """A function run by CasADi's virtual machine, or as the C that it generates.

    Raises
    ------
    StoppedError
        If the compiler of that C took too long.
    """
    import casadi

    folder, before = os.getcwd(), _seconds_of_children()
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)  # CasADi writes its C files here
        try:
            return casadi.Function("f", inputs, outputs, IN_C if in_c else {})
        except RuntimeError as error:
            if _seconds_of_children() - before < 0.9 * SECONDS:  # the two clocks differ a little
                raise
            raise StoppedError(f"gcc {LEVEL} was stopped after {SECONDS:,} s of processor time") from error
        finally:
            os.chdir(folder)


def _seconds_of_children() -> float:
    """The processor time of all programs that this process has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _casadi_buffers(inputs: list[Any], outputs: list[Any], in_c: bool, *arguments: Array) -> Prepared:
    """A function on prepared buffers.

    CasADi stores matrices by columns, so a C-ordered (n, d) array is its d by n matrix.
    """
    function = _casadi_function(inputs, outputs, in_c)
    buffer, evaluate = function.buffer()
    held = [np.ascontiguousarray(argument) for argument in arguments]
    results = [np.zeros(function.size_out(i)[::-1]) for i in range(function.n_out())]
    for i, argument in enumerate(held):
        buffer.set_arg(i, argument.data)
    for i, result in enumerate(results):
        buffer.set_res(i, result.data)

    def step() -> list[Array]:
        evaluate()
        return results

    step.held = held, buffer, function  # type: ignore[attr-defined]  # evaluate borrows their memory
    return Prepared(step, notes={"gcc": LEVEL} if in_c else {})


def _squeezed(prepared: Prepared, *shapes: tuple[int, ...]) -> Prepared:
    """The same, with results reshaped before they are compared."""
    prepared.arrays = lambda results: [r.reshape(s) for r, s in zip(results, shapes, strict=True)]
    return prepared


def _casadi_mapped_mlp(parameters: Array, x: Array, y: Array, in_c: bool) -> Prepared:
    ca, m = _casadi()
    n = len(x)
    p, row, target = ca.SX.sym("p", 337), ca.SX.sym("x", 2), ca.SX.sym("y")
    entries = [p[i] for i in range(337)]
    loss = problems.mlp_sample_loss(entries, [row[0], row[1]], target, m)
    sample = ca.Function("sample", [p, row, target], [loss, ca.gradient(loss, p)])
    p, rows, targets = ca.MX.sym("p", 337), ca.MX.sym("x", 2, n), ca.MX.sym("y", 1, n)
    value, gradient = sample.map("all", "serial", n, [0], [0, 1])(p, rows, targets)
    decay = problems.MLP_DECAY
    outputs = [value / n + decay * ca.dot(p, p), gradient / n + 2 * decay * p]
    prepared = _casadi_buffers([p, rows, targets], outputs, in_c, parameters, x, y)
    return _squeezed(prepared, (), (337,))


@contender("mlp", "CasADi, map", "casadi")
def _(parameters: Array, x: Array, y: Array) -> Prepared:
    return _casadi_mapped_mlp(parameters, x, y, in_c=False)


@contender("mlp", "CasADi, map, as C", "casadi")
def _(parameters: Array, x: Array, y: Array) -> Prepared:
    return _casadi_mapped_mlp(parameters, x, y, in_c=True)


@contender("mlp", "CasADi, matrices", "casadi")
def _(parameters: Array, x: Array, y: Array) -> Prepared:
    ca, _ = _casadi()
    n = len(x)
    p, rows, targets = ca.MX.sym("p", 337), ca.MX.sym("x", 2, n), ca.MX.sym("y", 1, n)
    first, second = ca.reshape(p[:32], 2, 16).T, ca.reshape(p[48:304], 16, 16).T
    hidden = ca.fmax(first @ rows + ca.repmat(p[32:48], 1, n), 0)
    hidden = ca.fmax(second @ hidden + ca.repmat(p[304:320], 1, n), 0)
    score = p[320:336].T @ hidden + p[336]
    loss = ca.sum2(ca.fmax(1 - targets * score, 0)) / n + problems.MLP_DECAY * ca.dot(p, p)
    outputs = [loss, ca.gradient(loss, p)]
    prepared = _casadi_buffers([p, rows, targets], outputs, False, parameters, x, y)
    return _squeezed(prepared, (), (337,))


def _casadi_gmm(alphas: Array, means: Array, icf: Array, x: Array, in_c: bool) -> Prepared:
    """The parts that all points share are computed once; the likelihood and its adjoint are mapped over the points."""
    ca, m = _casadi()
    (n, d), (k, width) = x.shape, icf.shape

    def lists(flat: Any, columns: int) -> list[list[Any]]:
        return [[flat[i + j] for j in range(columns)] for i in range(0, flat.numel(), columns)]

    def joined(*parts: Any) -> Any:
        return ca.vertcat(*(entry for part in parts for row in part for entry in row))

    a, mu, q = ca.SX.sym("a", k), ca.SX.sym("mu", k * d), ca.SX.sym("q", k * width)
    weights = [a[i] for i in range(k)]
    offsets, diagonals, triangles = problems.gmm_components(weights, lists(mu, d), lists(q, width), m)
    everything = ca.vertcat(a, mu, q)
    shared = ca.Function("shared", [everything], [joined([offsets], lists(mu, d), diagonals, triangles)])
    prior = problems.gmm_prior(weights, lists(mu, d), lists(q, width), n, m)
    rest = ca.Function("rest", [everything], [prior, ca.gradient(prior, everything)])

    flat, row = ca.SX.sym("c", shared.numel_out(0)), ca.SX.sym("x", d)
    cuts = np.cumsum([0, k, k * d, k * d, k * (width - d)])
    o, mean, diagonal, triangle = (flat[i:j] for i, j in pairwise(cuts))
    components = ([o[i] for i in range(k)], lists(mean, d), lists(diagonal, d), lists(triangle, width - d))
    likelihood = problems.gmm_log_likelihood(*components, [row[i] for i in range(d)], m=m)
    point = ca.Function("point", [flat, row], [likelihood, ca.gradient(likelihood, flat)])

    p, rows = ca.MX.sym("p", k + k * d + k * width), ca.MX.sym("x", d, n)
    total, adjoint = point.map("all", "serial", n, [0], [0, 1])(shared(p), rows)
    constant, gradient = rest(p)
    outputs = [total + constant, gradient + ca.jtimes(shared(p), p, adjoint, True)]
    flat_arguments = np.concatenate([alphas, means.ravel(), icf.ravel()])
    prepared = _casadi_buffers([p, rows], outputs, in_c, flat_arguments, x)
    cuts = np.cumsum([k, k * d])

    def arrays(results: list[Array]) -> list[Array]:
        by_alpha, by_mean, by_icf = np.split(results[1].ravel(), cuts)
        return [results[0].reshape(()), by_alpha, by_mean.reshape(k, d), by_icf.reshape(k, width)]

    prepared.arrays = arrays
    return prepared


@contender("gmm", "CasADi, map", "casadi")
def _(alphas: Array, means: Array, icf: Array, x: Array) -> Prepared:
    return _casadi_gmm(alphas, means, icf, x, in_c=False)


@contender("gmm", "CasADi, map, as C", "casadi")
def _(alphas: Array, means: Array, icf: Array, x: Array) -> Prepared:
    return _casadi_gmm(alphas, means, icf, x, in_c=True)


def _casadi_bundle(parameters: Array, features: Array, in_c: bool) -> Prepared:
    ca, m = _casadi()
    n = len(parameters)
    p, feature = ca.SX.sym("p", 15), ca.SX.sym("f", 2)
    residual = problems.bundle_residual(p, [feature[0], feature[1]], m, problems.rotate_away_from_zero)
    jacobian = ca.jacobian(ca.vertcat(*residual), p)
    single = ca.Function("single", [p, feature], [ca.densify(jacobian.T)])
    rows, observed = ca.MX.sym("p", 15, n), ca.MX.sym("f", 2, n)
    mapped = single.map(n, "serial")(rows, observed)
    prepared = _casadi_buffers([rows, observed], [mapped], in_c, parameters, features)
    return _squeezed(prepared, (n, 2, 15))


@contender("bundle", "CasADi, map", "casadi")
def _(parameters: Array, features: Array) -> Prepared:
    return _casadi_bundle(parameters, features, in_c=False)


@contender("bundle", "CasADi, map, as C", "casadi")
def _(parameters: Array, features: Array) -> Prepared:
    return _casadi_bundle(parameters, features, in_c=True)


@contender("least squares", "CasADi, matrices", "casadi")
def _(a: Array, b: Array, x: Array) -> Prepared:
    ca, _ = _casadi()
    rows, columns = a.shape
    matrix, target, point = ca.MX.sym("a", columns, rows), ca.MX.sym("b", rows), ca.MX.sym("x", columns)
    residual = matrix.T @ point - target
    objective = 0.5 * ca.dot(residual, residual)
    outputs = [objective, ca.gradient(objective, point)]
    prepared = _casadi_buffers([matrix, target, point], outputs, False, a, b, x)
    return _squeezed(prepared, (), (columns,))


def _casadi_options(columns: dict[str, Array], in_c: bool) -> Prepared:
    ca, m = _casadi()
    arrays = [columns[name] for name in problems.OPTION_ARGUMENTS]
    n = len(arrays[0])
    p = ca.SX.sym("p", 5)
    price = problems.black_scholes(*(p[i] for i in range(5)), m=m)
    second, first = ca.hessian(price, p)
    upper = [second[i, j] for i in range(5) for j in range(i, 5)]
    # CasADi's map needs an option's numbers next to each other, in and out.
    single = ca.Function("single", [p], [ca.vertcat(price, first, *upper)])
    options = ca.MX.sym("p", 5, n)
    mapped = single.map(n, "serial")(options)
    prepared = _casadi_buffers([options], [mapped], in_c, np.column_stack(arrays))
    prepared.arrays = lambda results: list(results[0].T)
    return prepared


@contender("options", "CasADi, map", "casadi")
def _(**columns: Array) -> Prepared:
    return _casadi_options(columns, in_c=False)


@contender("options", "CasADi, map, as C", "casadi")
def _(**columns: Array) -> Prepared:
    return _casadi_options(columns, in_c=True)


def _casadi_scalar(function: Callable[[list[Any]], Any], x: Array, *, in_c: bool, buffers: bool) -> Prepared:
    ca, _ = _casadi()
    p = ca.SX.sym("x", len(x))
    value = function([p[i] for i in range(len(x))])
    outputs = [value, ca.gradient(value, p)]
    if buffers:
        return _squeezed(_casadi_buffers([p], outputs, in_c, x), (), x.shape)
    compiled = _casadi_function([p], outputs, in_c)

    def step() -> tuple[float, Array]:
        value, gradient = compiled(x)
        return float(value), np.asarray(gradient)

    return Prepared(step, lambda result: [result[0], result[1].ravel()])


def _scalar_functions() -> dict[str, Callable[[list[Any]], Any]]:
    _, m = _casadi()
    return {
        "rosenbrock": problems.rosenbrock,
        "expression": lambda numbers: problems.expression(*numbers, m=m),
    }


def _enter_casadi_scalar(problem: str, name: str, in_c: bool, buffers: bool) -> None:
    @contender(problem, name, "casadi")
    def _(x: Array) -> Prepared:
        return _casadi_scalar(_scalar_functions()[problem], x, in_c=in_c, buffers=buffers)


for _problem in ("rosenbrock", "expression"):
    _enter_casadi_scalar(_problem, "CasADi, buffers", in_c=False, buffers=True)
    _enter_casadi_scalar(_problem, "CasADi, buffers, as C", in_c=True, buffers=True)
    _enter_casadi_scalar(_problem, "CasADi, ndarrays, as C", in_c=True, buffers=False)


# --- sparse derivatives ------------------------------------------------------------------------------------------


def _in_csr(shape: tuple[int, int], rows: Array, columns: Array, numbers: Array) -> Array:
    """The entries in the order of CSR; entries that are 0 in one library's pattern only are no matter of this."""
    order = np.lexsort((columns, rows))
    return numbers[order]


def _casadi_sparse(of: Any, variables: Any, in_c: bool, x: Array) -> Prepared:
    """The entries of a sparse matrix, on prepared buffers."""
    import casadi

    function = _casadi_function([variables], [of], in_c)
    buffer, evaluate = function.buffer()
    sparsity = function.sparsity_out(0)
    rows, columns = np.array(sparsity.get_triplet())
    numbers, held = np.zeros(sparsity.nnz()), np.ascontiguousarray(x)
    buffer.set_arg(0, held.data)
    buffer.set_res(0, numbers.data)

    def step() -> Array:
        evaluate()
        return numbers

    step.held = held, buffer, function  # type: ignore[attr-defined]  # evaluate borrows their memory
    notes = {"casadi": casadi.__version__, **({"gcc": LEVEL} if in_c else {})}
    return Prepared(step, lambda found: [_in_csr(of.shape, rows, columns, found)], notes)


def _casadi_diffusion(w: Array, in_c: bool) -> Prepared:
    ca, _ = _casadi()
    x = ca.SX.sym("w", len(w))
    rates = sparse_problems.reaction_diffusion(x, lambda parts: ca.vertcat(*parts))
    return _casadi_sparse(ca.jacobian(rates, x), x, in_c, w)


def _casadi_collocation(z: Array, in_c: bool) -> Prepared:
    ca, m = _casadi()
    x = ca.SX.sym("z", len(z))
    defects = sparse_problems.collocation(x, lambda parts: ca.vertcat(*parts), m)
    return _casadi_sparse(ca.jacobian(defects, x), x, in_c, z)


def _casadi_chain(q: Array, in_c: bool) -> Prepared:
    ca, m = _casadi()
    x = ca.SX.sym("q", len(q))
    return _casadi_sparse(ca.hessian(sparse_problems.chain_energy(x, m, ca.sum1), x)[0], x, in_c, q)


def _casadi_whole_bundle(p: Array, camera: Array, point: Array, features: Array, in_c: bool) -> Prepared:
    """The derivatives of one observation, mapped over all; its result is not yet a sparse matrix."""
    ca, m = _casadi()
    n = len(features)
    one, feature = ca.SX.sym("p", 15), ca.SX.sym("f", 2)
    residual = problems.bundle_residual(one, [feature[0], feature[1]], m, problems.rotate_away_from_zero)
    block = ca.jacobian(ca.vertcat(*residual), one)
    structural = np.array(ca.DM(block.sparsity(), 1.0).full(), dtype=bool)
    single = ca.Function("single", [one, feature], [ca.densify(block.T), -2.0 * one[14]])
    x, seen = ca.MX.sym("p", len(p)), ca.DM(np.ascontiguousarray(features.T))
    cameras, points = problems.BUNDLE_CAMERAS, problems.BUNDLE_POINTS
    end, last = 11 * cameras, 11 * cameras + 3 * points
    of_cameras = ca.reshape(x[:end], 11, cameras)[:, camera.astype(int).tolist()]
    of_points = ca.reshape(x[end:last], 3, points)[:, point.astype(int).tolist()]
    found, weighted = single.map(n, "serial")(ca.vertcat(of_cameras, of_points, x[last:].T), seen)
    prepared = _casadi_buffers([x], [found, weighted], in_c, p)

    def entries(results: Sequence[Array]) -> list[Array]:
        blocks, weights = results
        # in CSR the columns of the cameras come before those of the points and of the weights: as they are here
        entries = np.asarray(blocks).reshape(n, *structural.shape)[:, structural]
        return [np.concatenate([entries.ravel(), np.asarray(weights).ravel()])]

    prepared.arrays = entries
    return prepared


for _problem, _prepare in (
    ("diffusion", _casadi_diffusion),
    ("collocation", _casadi_collocation),
    ("chain", _casadi_chain),
    ("bundle whole", _casadi_whole_bundle),
):
    for _in_c in (False, True):
        _name = "CasADi" + (", blocks" if "bundle" in _problem else "") + (", as C" if _in_c else "")
        contender(_problem, _name, "casadi")(partial(_prepare, in_c=_in_c))


def _asdex(function: Any, x: Array, hessian: bool = False) -> Prepared:
    """The entries as a SciPy array, from JAX's compiled function."""
    jax, jnp, _ = _jax()
    import asdex

    given = jnp.asarray(x)
    make = asdex.hessian if hessian else asdex.jacobian
    fast = jax.jit(make(function, given))

    def step() -> Any:
        return jax.block_until_ready(fast(given))

    def entries(found: Any) -> list[Array]:
        rows, columns = np.asarray(found.indices).T
        return [_in_csr(found.shape, rows, columns, np.asarray(found.data))]

    return Prepared(step, entries)


@contender("diffusion", "asdex", "jax", "asdex")
def _(w: Array) -> Prepared:
    _, jnp, _ = _jax()
    return _asdex(lambda w: sparse_problems.reaction_diffusion(w, jnp.concatenate), w)


@contender("collocation", "asdex", "jax", "asdex")
def _(z: Array) -> Prepared:
    _, jnp, m = _jax()
    return _asdex(lambda z: sparse_problems.collocation(z, jnp.concatenate, m), z)


@contender("chain", "asdex", "jax", "asdex")
def _(q: Array) -> Prepared:
    _, jnp, m = _jax()
    return _asdex(lambda q: sparse_problems.chain_energy(q, m, jnp.sum), q, hessian=True)


@contender("bundle whole", "asdex", "jax", "asdex")
def _(p: Array, camera: Array, point: Array, features: Array) -> Prepared:
    jax, jnp, m = _jax()
    cameras_of, points_of, seen = camera.astype(int), point.astype(int), jnp.asarray(features)

    def observation(camera: Any, point: Any, weight: Any, feature: Any) -> Any:
        parameters = jnp.concatenate([camera, point, weight[None]])
        return jnp.stack(problems.bundle_residual(parameters, feature, m, problems.rotate_away_from_zero))

    def residuals(p: Any) -> Any:
        cameras, points, weights = sparse_problems.of_bundle(p)
        found = jax.vmap(observation)(cameras[cameras_of], points[points_of], weights, seen)
        return jnp.concatenate([found.ravel(), 1.0 - weights * weights])

    return _asdex(residuals, p)


def _casadi_in_a_loop(function: Callable[[list[Any]], Any], x: Array, times: int = 1000) -> Prepared:
    """The C that CasADi generates, called many times by a loop in C."""
    ca, _ = _casadi()
    p = ca.SX.sym("x", len(x))
    value = function([p[i] for i in range(len(x))])
    f = ca.Function("f", [p], [value, ca.gradient(value, p)])
    loop = f"""
void repeat(int times, const double *x, double *value, double *gradient)
{{
    static casadi_int iw[{f.sz_iw() + 1}];
    static double w[{f.sz_w() + 1}];
    const double *arg[{f.sz_arg() + 1}] = {{x}};
    double *res[{f.sz_res() + 1}] = {{value, gradient}};
    for (int i = 0; i < times; i++)
        f(arg, res, iw, w, 0);
}}
"""
    folder = tempfile.mkdtemp()
    before = os.getcwd()
    os.chdir(folder)  # CasADi writes its C files here
    try:
        f.generate("f.c")
        with open("f.c", "a", encoding="utf-8") as file:
            file.write(loop)
        flags = ["-O3", "-march=native", "-fno-math-errno", "-shared", "-fPIC"]
        subprocess.run(["gcc", *flags, "f.c", "-o", "f.so", "-lm"], check=True)
    finally:
        os.chdir(before)
    repeat = ctypes.CDLL(os.path.join(folder, "f.so")).repeat
    results = [np.zeros(1), np.zeros(len(x))]
    passed = [array.ctypes.data_as(ctypes.POINTER(ctypes.c_double)) for array in (x, *results)]
    return Prepared(lambda: repeat(times, *passed), lambda _: [results[0].reshape(()), results[1]])


def _enter_casadi_in_a_loop(problem: str) -> None:
    @contender(problem, "CasADi, a thousand calls in C", "casadi")
    def _(x: Array) -> Prepared:
        return _casadi_in_a_loop(_scalar_functions()[problem], x)


for _problem in ("rosenbrock", "expression"):
    _enter_casadi_in_a_loop(_problem)


# --- XAD ---------------------------------------------------------------------------------------------------------


def _xad() -> tuple[Any, Any, Any]:
    """The active number type, a recording tape, and the mathematical functions."""
    import xad.math
    from xad.adj_1st import Real, Tape

    tape = Tape()
    tape.activate()
    names = ("exp", "log", "sqrt", "sin", "cos", "tanh", "erfc")
    m = SimpleNamespace(**{name: getattr(xad.math, name) for name in names}, relu=lambda x: xad.math.max(x, 0.0))
    return Real, tape, m


def _xad_gradient(function: Callable[..., Any], tape: Any, inputs: list[Any]) -> tuple[float, list[float]]:
    """Record again, sweep and read: all calls use one tape."""
    tape.clearAll()
    for number in inputs:
        tape.registerInput(number)
    tape.newRecording()
    output = function(*inputs)
    tape.registerOutput(output)
    output.setDerivative(1.0)
    tape.computeAdjoints()
    return output.getValue(), [number.getDerivative() for number in inputs]


@contender("eager mlp", "XAD", "xad")
def _(parameters: Array, x: Array, y: Array) -> Prepared:
    real, tape, m = _xad()
    numbers, xs, ys = parameters.tolist(), x.tolist(), y.tolist()

    def loss(*leaves: Any) -> Any:
        return problems.mlp_loss(leaves, xs, ys, m)

    return Prepared(lambda: _xad_gradient(loss, tape, [real(p) for p in numbers]))


@contender("chain", "XAD", "xad")
def _(links: int) -> Prepared:
    real, tape, _ = _xad()

    def step() -> tuple[float, float, float]:
        value, (by_start, by_factor) = _xad_gradient(
            lambda start, factor: problems.chain(start, factor, links), tape, [real(1.0), real(0.999)]
        )
        return value, by_start, by_factor

    return steps.weighed(step, 2 * links)


@contender("readme graph", "XAD", "xad")
def _(a: float, b: float) -> Prepared:
    real, tape, m = _xad()

    def step() -> tuple[float, float, float]:
        value, (by_a, by_b) = _xad_gradient(lambda a, b: problems.readme_graph(a, b, m), tape, [real(a), real(b)])
        return value, by_a, by_b

    return Prepared(step)


@contender("eager greeks", "XAD", "xad")
def _(**columns: Array) -> Prepared:
    real, tape, m = _xad()
    rows = list(zip(*(columns[name].tolist() for name in problems.OPTION_ARGUMENTS), strict=True))

    def price(*arguments: Any) -> Any:
        return problems.black_scholes(*arguments, m=m)

    def step() -> list[list[float]]:
        results = []
        for row in rows:
            value, greeks = _xad_gradient(price, tape, [real(number) for number in row])
            results.append([value, *greeks])
        return results

    return Prepared(step, lambda results: [results])


@contender("expression", "XAD", "xad")
def _(x: Array) -> Prepared:
    real, tape, m = _xad()
    numbers = x.tolist()

    def function(*inputs: Any) -> Any:
        return problems.expression(*inputs, m=m)

    return Prepared(lambda: _xad_gradient(function, tape, [real(number) for number in numbers]))


@contender("eager greeks", "XAD, one recording of all", "xad")
def _(**columns: Array) -> Prepared:
    real, tape, m = _xad()
    rows = list(zip(*(columns[name].tolist() for name in problems.OPTION_ARGUMENTS), strict=True))

    def step() -> list[list[float]]:
        tape.clearAll()
        options = [[real(number) for number in row] for row in rows]
        for arguments in options:
            tape.registerInputs(arguments)
        tape.newRecording()
        prices = [problems.black_scholes(*arguments, m=m) for arguments in options]
        for price in prices:
            tape.registerOutput(price)
            price.setDerivative(1.0)
        tape.computeAdjoints()
        return [
            [price.getValue(), *(a.getDerivative() for a in arguments)]
            for price, arguments in zip(prices, options, strict=True)
        ]

    return Prepared(step, lambda results: [results])


@contender("rosenbrock", "XAD", "xad")
def _(x: Array) -> Prepared:
    real, tape, _ = _xad()
    numbers = x.tolist()

    def function(*inputs: Any) -> Any:
        return problems.rosenbrock(inputs)

    return Prepared(lambda: _xad_gradient(function, tape, [real(number) for number in numbers]))


# --- micrograd, and a pure-Python class in the style of microgpt -------------------------------------------------


def _micrograd() -> tuple[Any, Any]:
    from micrograd.engine import Value

    sys.setrecursionlimit(10**7)  # its sweep recurses once per node
    return Value, SimpleNamespace(relu=Value.relu)


@contender("eager mlp", "micrograd", "micrograd.engine")
def _(parameters: Array, x: Array, y: Array) -> Prepared:
    value, m = _micrograd()
    return steps.mlp(value, m, parameters, x, y)


@contender("chain", "micrograd", "micrograd.engine")
def _(links: int) -> Prepared:
    value, _ = _micrograd()
    return steps.chain(value, links)


@contender("readme graph", "micrograd", "micrograd.engine")
def _(a: float, b: float) -> Prepared:
    value, m = _micrograd()
    return steps.readme(value, m, a, b)


@contender("eager mlp", "plain Value")
def _(parameters: Array, x: Array, y: Array) -> Prepared:
    return steps.mlp(plain_value.Value, plain_value.math_functions, parameters, x, y)


@contender("chain", "plain Value")
def _(links: int) -> Prepared:
    return steps.chain(plain_value.Value, links)


@contender("readme graph", "plain Value")
def _(a: float, b: float) -> Prepared:
    return steps.readme(plain_value.Value, plain_value.math_functions, a, b)


@contender("gpt", "plain Value")
def _(name: str, seed: int) -> Prepared:
    return steps.gpt(plain_value.Value, name, seed)


# --- satellite orbits -------------------------------------------------------------------------------------------


def _heyoka(elements: Array) -> tuple[Any, Array]:
    """The propagator, and its data: nine rows, with the epoch at the end."""
    import heyoka as hy

    from adopted import EPOCH, JULIAN

    days = np.floor(EPOCH)
    epochs = np.full((1, len(elements)), JULIAN + days), np.full((1, len(elements)), EPOCH - days)
    data = np.ascontiguousarray(np.concatenate([elements.T, *epochs]))
    return hy.model.sgp4_propagator(data, diff_order=1), data


def _heyoka_arrays(propagator: Any, found: Array) -> list[Array]:
    """States, and Jacobians with the elements in our order."""
    first = propagator.get_dslice(order=1)
    jacobian = np.zeros((found.shape[1], 6, 7))
    for place in range(first.start, first.stop):
        component, *orders = propagator.get_mindex(place)
        if component < 6:
            jacobian[:, component, orders.index(1)] = found[place]
    return [found[:6].T, jacobian]


@contender("orbits", "heyoka, state and Jacobian, new elements", "heyoka")
def _(elements: Array, times: Array) -> Prepared:
    propagator, data = _heyoka(elements)
    out = np.empty((propagator.nouts, len(times)))

    def call() -> Array:
        propagator.replace_sat_data(data)
        propagator(times, out=out)
        return out

    return Prepared(call, lambda found: _heyoka_arrays(propagator, found))


@contender("times", "heyoka, state and Jacobian", "heyoka")
def _(elements: Array, times: Array) -> Prepared:
    propagator, _ = _heyoka(elements)
    out = np.empty((propagator.nouts, len(times)))

    def call() -> Array:
        propagator(times, out=out)
        return out

    return Prepared(call, lambda found: _heyoka_arrays(propagator, found))


@contender("orbits", "dSGP4, state and Jacobian", "dsgp4", "torch", "sgp4")
def _(elements: Array, times: Array) -> Prepared:
    import dsgp4
    import sgp4.api
    import torch
    from sgp4.exporter import export_tle

    from adopted import EPOCH

    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    names = ("_no_kozai", "_ecco", "_inclo", "_nodeo", "_argpo", "_mo", "_bstar")
    tles = []
    for row in elements.tolist():
        satellite = sgp4.api.Satrec()
        no, ecco, inclo, nodeo, argpo, mo, bstar = row
        satellite.sgp4init(sgp4.api.WGS72, "i", 5, EPOCH, bstar, 0.0, 0.0, ecco, argpo, inclo, mo, no, nodeo)
        tles.append(dsgp4.TLE(list(export_tle(satellite))))
        for name, number in zip(names, row):  # the lines of text have fewer digits
            setattr(tles[-1], name, number)
    minutes = torch.tensor(times)

    def call() -> Any:
        made, batch = dsgp4.initialize_tle(tles, gravity_constant_name="wgs-72", with_grad=True)
        states = dsgp4.propagate_batch(batch, minutes).reshape(len(minutes), 6)
        rows = []
        for k in range(6):
            gradients = torch.autograd.grad(states[:, k].sum(), made, retain_graph=True)
            rows.append(torch.stack(gradients)[:, [7, 3, 5, 8, 4, 6, 0]])  # its elements in our order
        return states.detach().numpy(), torch.stack(rows, 1).numpy()

    return Prepared(call)


# --- training ----------------------------------------------------------------------------------------------------

Layers = Sequence[tuple[Array, Array]]


def _torch_training(
    layers: Layers, x: Array, y: Array, epochs: int, batch: int, rate: float, compiled: bool
) -> Prepared:
    import torch

    torch.set_num_threads(1)
    classes = len(layers[-1][1])
    modules: list[Any] = []
    for weights, _ in layers:
        modules += [torch.nn.Linear(weights.shape[1], weights.shape[0], dtype=torch.float64), torch.nn.ReLU()]
    model = torch.nn.Sequential(*modules[:-1])
    criterion = torch.nn.CrossEntropyLoss() if classes > 1 else torch.nn.BCEWithLogitsLoss()
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y.astype(int) if classes > 1 else y)
    batches = list(zip(inputs.split(batch), targets.split(batch), strict=True))

    def loss_of(x: Any, y: Any) -> Any:
        outputs = model(x)
        return criterion(outputs if classes > 1 else outputs[:, 0], y)

    loss_of_batch = torch.compile(loss_of) if compiled else loss_of

    def train() -> list[float]:
        with torch.no_grad():
            for module, (weights, biases) in zip(model[::2], layers, strict=True):
                module.weight.copy_(torch.from_numpy(weights))
                module.bias.copy_(torch.from_numpy(biases))
        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
        history = []
        for _ in range(epochs):
            losses = []
            for x, y in batches:
                optimizer.zero_grad()
                loss = loss_of_batch(x, y)
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
            history.append(torch.stack(losses).mean().item())
        return history

    return Prepared(train, lambda losses: [losses])


@contender("training", "PyTorch", "torch")
def _(**data: Any) -> Prepared:
    return _torch_training(**data, compiled=False)


@contender("training", "PyTorch, torch.compile", "torch", "torch._inductor")
def _(**data: Any) -> Prepared:
    return _torch_training(**data, compiled=True)


def _jax_training(layers: Layers, x: Array, y: Array, epochs: int, batch: int, rate: float, at_once: bool) -> Prepared:
    import optax

    jax, jnp, _ = _jax()
    classes, rule = len(layers[-1][1]), optax.adam(rate)
    shape = (len(x) // batch, batch)
    xs = jnp.asarray(x.reshape(*shape, x.shape[1]))
    ys = jnp.asarray((y.astype(int) if classes > 1 else y).reshape(shape))

    def loss(parameters: Any, x: Any, y: Any) -> Any:
        for depth, (weights, biases) in enumerate(parameters, start=1):
            x = x @ weights.T + biases
            if depth < len(parameters):
                x = jax.nn.relu(x)
        if classes > 1:
            return optax.softmax_cross_entropy_with_integer_labels(x, y).mean()
        return optax.sigmoid_binary_cross_entropy(x[:, 0], y).mean()

    def step(carry: Any, data: Any) -> tuple[Any, Any]:
        parameters, state = carry
        value, gradient = jax.value_and_grad(loss)(parameters, *data)
        updates, state = rule.update(gradient, state, parameters)
        return (optax.apply_updates(parameters, updates), state), value

    def epoch(carry: Any, _: Any) -> tuple[Any, Any]:
        carry, losses = jax.lax.scan(step, carry, (xs, ys))
        return carry, losses.mean()

    one_step = jax.jit(step, donate_argnums=0)
    whole = jax.jit(lambda carry: jax.lax.scan(epoch, carry, length=epochs)[1])

    def train() -> Any:
        parameters = [(jnp.array(weights), jnp.array(biases)) for weights, biases in layers]
        carry = parameters, rule.init(parameters)
        if at_once:
            return whole(carry).block_until_ready()
        history = []
        for _ in range(epochs):
            losses = []
            for data in zip(xs, ys, strict=True):
                carry, value = one_step(carry, data)
                losses.append(value)
            history.append(float(sum(losses)) / len(losses))
        return history

    return Prepared(train, lambda losses: [losses])


@contender("training", "JAX with optax, a call for each step", "jax", "optax")
def _(**data: Any) -> Prepared:
    return _jax_training(**data, at_once=False)


@contender("training", "JAX with optax, one call", "jax", "optax")
def _(**data: Any) -> Prepared:
    return _jax_training(**data, at_once=True)


@contender("training", "scikit-learn", "sklearn.neural_network")
def _(layers: Layers, x: Array, y: Array, epochs: int, batch: int, rate: float) -> Prepared:
    import warnings

    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore")  # that the training has not converged

    class FromHere(MLPClassifier):
        """Starts from given weights, which scikit-learn would draw at random."""

        def _init_coef(self, fan_in: int, fan_out: int, dtype: Any) -> tuple[Array, Array]:
            weights, biases = next(self.given)
            return np.ascontiguousarray(weights.T), biases.copy()

    def train() -> list[float]:
        model = FromHere(
            [len(biases) for _, biases in layers[:-1]],
            alpha=0.0,
            batch_size=batch,
            learning_rate_init=rate,
            max_iter=epochs,
            n_iter_no_change=epochs,
            tol=0.0,
            shuffle=False,
        )
        model.given = iter(layers)
        losses: list[float] = model.fit(x, y).loss_curve_
        return losses

    return Prepared(train, lambda losses: [losses])


@contender("training", "micrograd", "micrograd.nn")
def _(layers: Layers, x: Array, y: Array, epochs: int, batch: int, rate: float) -> Prepared:
    from micrograd.nn import MLP

    model = MLP(x.shape[1], [len(biases) for _, biases in layers])
    parameters = model.parameters()
    xs, ys = x.tolist(), y.tolist()

    def cross_entropy(logit: Any, target: float) -> Any:
        """log(1 + exp(z)) - t z; micrograd has no logarithm, so its derivative is written down here."""
        from micrograd.engine import Value

        z = logit.data
        out = Value(max(z, 0.0) + np.log1p(np.exp(-abs(z))) - target * z, (logit,), "cross entropy")

        def backward() -> None:
            logit.grad += (1.0 / (1.0 + np.exp(-z)) - target) * out.grad

        out._backward = backward
        return out

    def train() -> list[float]:
        for layer, (weights, biases) in zip(model.layers, layers, strict=True):
            for neuron, row, bias in zip(layer.neurons, weights.tolist(), biases.tolist(), strict=True):
                neuron.b.data = bias
                for weight, number in zip(neuron.w, row, strict=True):
                    weight.data = number
        means, squares, steps, history = [0.0] * len(parameters), [0.0] * len(parameters), 0, []
        for _ in range(epochs):
            total = 0.0
            for start in range(0, len(xs), batch):
                rows = range(start, start + batch)
                loss = sum(cross_entropy(model(xs[i]), ys[i]) for i in rows) * (1.0 / batch)
                model.zero_grad()
                loss.backward()
                steps += 1
                for k, p in enumerate(parameters):
                    means[k] = 0.9 * means[k] + 0.1 * p.grad
                    squares[k] = 0.999 * squares[k] + 0.001 * p.grad * p.grad
                    size = (squares[k] / (1.0 - 0.999**steps)) ** 0.5 + 1e-8
                    p.data -= rate * means[k] / (1.0 - 0.9**steps) / size
                total += loss.data
            history.append(total * batch / len(xs))
        return history

    return Prepared(train, lambda losses: [losses])
