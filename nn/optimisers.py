"""Optimisers: they use gradients to improve parameters.

An optimiser is an update rule: from parameters, their gradients and what it remembers of the steps before, it computes
new parameters and a new memory. `init` and `update` are pure functions on trees of numbers; `step` is a thin wrapper
around them, for parameters that are Values with a `.grad`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Any, TypedDict, Unpack

import autograd.math as am
from autograd import Value, vmap
from autograd.ieee import to_float
from autograd.tree import flatten, pairs
from nn.checks import leaves, positive, whole, within
from nn.schedules import Schedule

Tree = Any  # containers with numbers at the leaves
State = dict[str, Any]  # "count", the number of updates so far, and one tree for each name in `memory`
DOWN = 2.0**-600  # times any number of float64: its square is finite, and that of a number above 1e160 is not 0
TO_AVOID_ZERO = 1e-6  # added to a norm before it divides, as in PyTorch's clip_grad_norm_


class Common(TypedDict, total=False):
    """The arguments of every update rule: see `Optimiser`."""

    weight_decay: float
    clip_norm: float | None


class _OfParameters:
    """The base of everything that assigns new numbers to Values."""

    parameters: list[Value]

    def zero_grad(self) -> None:
        """Set the `.grad` of every parameter to 0."""
        for parameter in self.parameters:
            parameter.grad = 0.0

    def _assign(self, numbers: Sequence[float]) -> None:
        for parameter, number in zip(self.parameters, numbers):
            parameter.data = number


class Optimiser(_OfParameters):
    """The base of all update rules; a subclass defines in `rule` what happens to one number.

    Parameters
    ----------
    parameters : iterable of Value, optional
        The parameters that `step` changes; all must be leaves. Repeats are ignored. Not needed for `init` and
        `update`.
    learning_rate : float or callable
        The size of a step, or a schedule: a function from the number of steps so far to the size of the next.
    weight_decay : float, optional
        The parameter times this number is added to its gradient, which pulls the parameter towards 0. 0 by default (in
        `AdamW` 0.01).
    clip_norm : float, optional
        The largest Euclidean norm of all gradients together; larger gradients are scaled down (see `clip_by_norm`).

    Raises
    ------
    TypeError
        If a parameter is not a Value, or the learning rate is neither a number nor callable.
    ValueError
        If there are no parameters, a parameter is a computed node, or a number is out of range.
    """

    memory: tuple[str, ...] = ()  # what is remembered of each parameter, 0 at first
    usual_decay = 0.0

    def __init__(
        self,
        parameters: Iterable[Value] | None = None,
        learning_rate: float | Schedule = 0.01,
        *,
        weight_decay: float | None = None,
        clip_norm: float | None = None,
    ) -> None:
        self.parameters = [] if parameters is None else leaves(parameters)
        self.learning_rate = learning_rate
        self.weight_decay = within("weight_decay", self.usual_decay if weight_decay is None else weight_decay, 0.0)
        self.clip_norm = None if clip_norm is None else positive("clip_norm", clip_norm)
        self.state = self.init([0.0] * len(self.parameters))

    @property
    def learning_rate(self) -> Any:
        """The size of a step: a number or a schedule. It may be assigned between steps."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: float | Schedule) -> None:
        self._learning_rate = rate if callable(rate) else positive("the learning rate", rate)

    def __repr__(self) -> str:
        """The rule with its settings, and how many parameters it changes."""
        rate = self.learning_rate
        settings = {"learning_rate": getattr(rate, "__qualname__", "").partition(".")[0] or rate, **vars(self)}
        hidden = ("parameters", "state", "memory", "_learning_rate")
        shown = ", ".join(f"{name}={x}" for name, x in settings.items() if name not in hidden)
        return f"{type(self).__name__}({shown})" + (f" of {len(self.parameters)} parameters" if self.parameters else "")

    # ---- the update rule ---------------------------------------------------------------------------------------

    def rule(self, parameter: Any, gradient: Any, rate: Any, count: Any, *remembered: Any) -> tuple[Any, ...]:
        """The new parameter, and what is remembered of it.

        Parameters
        ----------
        parameter, gradient : number
            One number of the parameters and its gradient.
        rate : number
            The learning rate of this step.
        count : number
            How many steps there have been, this one included.
        *remembered : number
            What the step before remembered of this parameter, in the order of `memory`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no rule")

    def init(self, parameters: Tree) -> State:
        """The state before the first update, for parameters of this shape."""
        leaves, rebuild = flatten(parameters, "parameters")
        return {"count": 0.0, **{name: rebuild([0.0] * len(leaves)) for name in self.memory}}

    def update(self, gradients: Tree, state: State, parameters: Tree) -> tuple[Tree, State]:
        """New parameters and a new state; nothing that is given changes.

        Parameters
        ----------
        gradients : tree of numbers
            In the shape of the parameters, as `autograd.grad` returns it.
        state : dict
            What `init` returned, or the last update.
        parameters : tree of numbers
            What to improve.

        Raises
        ------
        ValueError
            If gradients or state do not have the shape of the parameters.
        """
        return self.updated(gradients, state, parameters, self.rate_after(state["count"]))

    def rate_after(self, steps: Any) -> Any:
        """The learning rate after this number of steps."""
        return self.learning_rate(steps) if callable(self.learning_rate) else self.learning_rate

    def updated(self, gradients: Tree, state: State, parameters: Tree, rate: Any) -> tuple[Tree, State]:
        """What `update` does, with a learning rate that is given."""
        numbers, rebuild = flatten(parameters, "parameters")
        slopes = _like(parameters, gradients, "gradients")
        if self.clip_norm is not None:
            slopes = clip_by_norm(slopes, self.clip_norm)
        before = [_like(parameters, state[name], f"the state {name!r}") for name in self.memory]
        count = state["count"] + 1.0
        columns = [numbers, slopes, *before]
        axes = (0, 0, None, None, *[0] * len(before))
        rows = vmap(self.rule, in_axes=axes)(*columns[:2], rate, count, *columns[2:]) if numbers else []
        after = (
            [rebuild(list(column)) for column in zip(*rows)] if rows else [parameters, *[state[m] for m in self.memory]]
        )
        return after[0], {"count": count, **dict(zip(self.memory, after[1:]))}

    def _decayed(self, parameter: Any, gradient: Any) -> Any:
        return gradient + self.weight_decay * parameter if self.weight_decay else gradient

    # ---- for Values with a .grad --------------------------------------------------------------------------------

    def step(self) -> None:
        """Change every parameter by its `.grad`.

        Raises
        ------
        ValueError
            If the optimiser was made without parameters.
        """
        if not self.parameters:
            raise ValueError(f"{type(self).__name__} was made without parameters: pass them, or use update()")
        now = [parameter.data for parameter in self.parameters]
        new, self.state = self.update([parameter.grad for parameter in self.parameters], self.state, now)
        self._assign(new)


class SGD(Optimiser):
    """Gradient descent: each step moves every parameter a little against its gradient.

    It is called stochastic if the gradient of each step comes from a random batch of the data. It does not compute
    gradients: `step` reads what is in `.grad`.

    Parameters
    ----------
    parameters, learning_rate, **common
        As for `Optimiser`.
    momentum : float
        At least 0 and below 1: how much of the last step's direction is kept.
    nesterov : bool
        Whether to look ahead along the momentum (Y. Nesterov, 1983, in the form of Sutskever et al., ICML 2013).

    Raises
    ------
    TypeError, ValueError
        As for `Optimiser`.

    Examples
    --------
    >>> from autograd import Value
    >>> from nn import SGD
    >>> x = Value(5.0)
    >>> optimiser = SGD([x], learning_rate=0.1)
    >>> for _ in range(50):
    ...     optimiser.zero_grad()
    ...     ((x - 2.0) ** 2).backward()
    ...     optimiser.step()
    >>> round(x.data, 4)
    2.0

    The same without Values, as a pure function:

    >>> from autograd import grad
    >>> rule, x = SGD(learning_rate=0.1, momentum=0.5), {"x": 5.0}
    >>> state = rule.init(x)
    >>> for _ in range(50):
    ...     x, state = rule.update(grad(lambda p: (p["x"] - 2.0) ** 2)(x), state, x)
    >>> round(x["x"], 4)
    2.0
    """

    def __init__(
        self,
        parameters: Iterable[Value] | None = None,
        learning_rate: float | Schedule = 0.01,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        **common: Unpack[Common],
    ) -> None:
        self.momentum = within("momentum", momentum, 0.0, below=1.0)
        self.nesterov = nesterov
        self.memory = ("velocity",) if self.momentum else ()
        if nesterov and not self.momentum:
            raise ValueError("nesterov=True looks ahead along the momentum: give a momentum above 0")
        super().__init__(parameters, learning_rate, **common)

    def rule(self, parameter: Any, gradient: Any, rate: Any, count: Any, *remembered: Any) -> tuple[Any, ...]:
        """A step against the gradient, or against a running sum of gradients."""
        gradient = self._decayed(parameter, gradient)
        if not remembered:
            return (parameter - rate * gradient,)
        velocity = self.momentum * remembered[0] + gradient
        direction = gradient + self.momentum * velocity if self.nesterov else velocity
        return parameter - rate * direction, velocity


class RMSProp(Optimiser):
    """Each gradient is divided by the square root of a running mean of its square.

    After T. Tieleman and G. Hinton, "Lecture 6.5: RMSProp", Neural Networks for Machine Learning (2012).

    Parameters
    ----------
    parameters, learning_rate, **common
        As for `Optimiser`.
    smoothing : float
        How much of the running mean is kept at each step.
    epsilon : float
        Added to the square root, so that nothing is divided by 0.
    momentum : float
        How much of the last step is kept.

    Examples
    --------
    >>> from autograd import grad
    >>> from nn import RMSProp
    >>> rule, x = RMSProp(learning_rate=0.05), 5.0
    >>> state = rule.init(x)
    >>> for _ in range(300):
    ...     x, state = rule.update(grad(lambda x: (x - 2.0) ** 2)(x), state, x)
    >>> round(x, 2)
    2.0
    """

    memory = ("square", "velocity")

    def __init__(
        self,
        parameters: Iterable[Value] | None = None,
        learning_rate: float | Schedule = 0.01,
        *,
        smoothing: float = 0.99,
        epsilon: float = 1e-8,
        momentum: float = 0.0,
        **common: Unpack[Common],
    ) -> None:
        self.smoothing = within("smoothing", smoothing, 0.0, below=1.0)
        self.epsilon = positive("epsilon", epsilon)
        self.momentum = within("momentum", momentum, 0.0, below=1.0)
        super().__init__(parameters, learning_rate, **common)

    def rule(self, parameter: Any, gradient: Any, rate: Any, count: Any, *remembered: Any) -> tuple[Any, ...]:
        """A step against the gradient, divided by its usual size."""
        gradient = self._decayed(parameter, gradient)
        square, velocity = remembered
        square = self.smoothing * square + (1.0 - self.smoothing) * gradient * gradient
        velocity = self.momentum * velocity + gradient / (am.sqrt(square) + self.epsilon)
        return parameter - rate * velocity, square, velocity


class Adagrad(Optimiser):
    """Each gradient is divided by the square root of the sum of all its squares so far.

    After J. Duchi, E. Hazan and Y. Singer, "Adaptive subgradient methods for online learning and stochastic
    optimization", JMLR 12 (2011).

    Parameters
    ----------
    parameters, learning_rate, **common
        As for `Optimiser`.
    epsilon : float
        Added to the square root, so that nothing is divided by 0.

    Examples
    --------
    >>> from autograd import grad
    >>> from nn import Adagrad
    >>> rule, x = Adagrad(learning_rate=1.0), 5.0
    >>> state = rule.init(x)
    >>> for _ in range(100):
    ...     x, state = rule.update(grad(lambda x: (x - 2.0) ** 2)(x), state, x)
    >>> round(x, 4)
    2.0
    """

    memory = ("square",)

    def __init__(
        self,
        parameters: Iterable[Value] | None = None,
        learning_rate: float | Schedule = 0.01,
        *,
        epsilon: float = 1e-10,
        **common: Unpack[Common],
    ) -> None:
        self.epsilon = positive("epsilon", epsilon)
        super().__init__(parameters, learning_rate, **common)

    def rule(self, parameter: Any, gradient: Any, rate: Any, count: Any, *remembered: Any) -> tuple[Any, ...]:
        """A step against the gradient, smaller and smaller where it has been large."""
        gradient = self._decayed(parameter, gradient)
        square = remembered[0] + gradient * gradient
        return parameter - rate * gradient / (am.sqrt(square) + self.epsilon), square


class Adam(Optimiser):
    """Running means of the gradient and of its square, each corrected for its start at 0.

    After D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    Parameters
    ----------
    parameters, learning_rate, **common
        As for `Optimiser`.
    betas : (float, float)
        How much of the two running means is kept at each step.
    epsilon : float
        Added to the square root, so that nothing is divided by 0.

    Examples
    --------
    >>> from autograd import Value
    >>> from nn import Adam
    >>> x = Value(5.0)
    >>> optimiser = Adam([x], learning_rate=0.1)
    >>> for _ in range(300):
    ...     optimiser.zero_grad()
    ...     ((x - 2.0) ** 2).backward()
    ...     optimiser.step()
    >>> round(x.data, 3)
    2.0
    """

    memory = ("mean", "square")

    def __init__(
        self,
        parameters: Iterable[Value] | None = None,
        learning_rate: float | Schedule = 0.001,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        **common: Unpack[Common],
    ) -> None:
        if not isinstance(betas, Sequence) or len(betas) != 2:
            raise ValueError(f"betas must be two numbers, such as (0.9, 0.999), not {betas!r}")
        first, second = [within(f"betas[{k}]", beta, 0.0, below=1.0) for k, beta in enumerate(betas)]
        self.betas = first, second
        self.epsilon = positive("epsilon", epsilon)
        super().__init__(parameters, learning_rate, **common)

    def rule(self, parameter: Any, gradient: Any, rate: Any, count: Any, *remembered: Any) -> tuple[Any, ...]:
        """A step against the mean gradient, divided by its usual size."""
        return self._moved(parameter, self._decayed(parameter, gradient), rate, count, *remembered)

    def _averages(self, gradient: Any, mean: Any, square: Any) -> tuple[Any, Any]:
        first, second = self.betas
        return first * mean + (1.0 - first) * gradient, second * square + (1.0 - second) * gradient * gradient

    def _moved(self, parameter: Any, gradient: Any, rate: Any, count: Any, mean: Any, square: Any) -> tuple[Any, ...]:
        first, second = self.betas
        mean, square = self._averages(gradient, mean, square)
        size = am.sqrt(square / (1.0 - second**count)) + self.epsilon
        return parameter - rate * (mean / (1.0 - first**count)) / size, mean, square


class AdamW(Adam):
    """Adam, but the weight decay is subtracted from the parameter and does not go through the gradient.

    After I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019. The arguments are those of
    `Adam`; the weight decay is 0.01 by default.

    Examples
    --------
    >>> from nn import AdamW
    >>> rule = AdamW(learning_rate=0.1, weight_decay=0.5)
    >>> rule.update(0.0, rule.init(4.0), 4.0)[0]  # no gradient: 4 · (1 - 0.1 · 0.5)
    3.8
    """

    usual_decay = 0.01

    def rule(self, parameter: Any, gradient: Any, rate: Any, count: Any, *remembered: Any) -> tuple[Any, ...]:
        """A little towards 0, then Adam's step."""
        return self._moved(parameter - rate * self.weight_decay * parameter, gradient, rate, count, *remembered)


class LBFGS(_OfParameters):
    """A quasi-Newton method for losses over all data: SciPy's L-BFGS-B on the parameters of a model.

    After D. C. Liu and J. Nocedal, "On the limited memory BFGS method for large scale optimization", Mathematical
    Programming 45 (1989). Needs SciPy.

    Parameters
    ----------
    parameters : iterable of Value
        The parameters to change; all must be leaves.
    iterations : int
        The largest number of iterations in one `step`; each calls the closure once or a few times.
    history : int
        How many earlier steps it remembers within one `step`.
    tolerance : float
        A `step` ends when no gradient is larger than this.
    evaluations : int
        The largest number of calls of the closure in one `step`.

    Attributes
    ----------
    taken : int
        How many iterations the last `step` took.
    converged : bool
        Whether the last `step` ended because it could not improve the loss any more.

    Raises
    ------
    TypeError, ValueError
        As for `Optimiser`.

    Examples
    --------
    >>> from autograd import Value
    >>> from nn import LBFGS
    >>> x, y = Value(-1.0), Value(1.0)
    >>> optimiser = LBFGS([x, y], iterations=100)
    >>> def closure():
    ...     optimiser.zero_grad()
    ...     loss = (1.0 - x) ** 2 + 100.0 * (y - x**2) ** 2
    ...     loss.backward()
    ...     return loss
    >>> loss = optimiser.step(closure)
    >>> round(loss, 6), round(x.data, 3), round(y.data, 3)
    (0.0, 1.0, 1.0)
    """

    def __init__(
        self,
        parameters: Iterable[Value],
        *,
        iterations: int = 20,
        history: int = 10,
        tolerance: float = 1e-5,
        evaluations: int = 15000,
    ) -> None:
        self.parameters = leaves(parameters)
        self.iterations = whole("iterations", iterations)
        self.history = whole("history", history)
        self.tolerance = within("tolerance", tolerance, 0.0)
        self.evaluations = whole("evaluations", evaluations)
        self.taken, self.converged = 0, False

    def step(self, closure: Callable[[], Any]) -> float:
        """Improve the parameters, and return the loss at the end.

        Parameters
        ----------
        closure : callable
            Sets the gradients to 0, computes the loss for the current parameters, calls `backward` on it and returns
            it.

        Raises
        ------
        ImportError
            If SciPy is not installed.
        ValueError
            If the closure returns a loss without a gradient: `backward` has not been called.
        Exception
            Whatever the closure raises; the parameters then have their old numbers again.
        """
        try:
            from scipy.optimize import minimize
        except ImportError:
            raise ImportError("LBFGS needs SciPy: pip install 'scalar-autograd[nn]'") from None
        before = [parameter.data for parameter in self.parameters]

        def evaluate(numbers: Any) -> tuple[float, list[float]]:
            self._assign(numbers.tolist())
            loss = closure()
            gradient = [p.grad for p in self.parameters]
            if isinstance(loss, Value) and loss.grad == 0.0 and not any(gradient):
                raise ValueError("the closure of LBFGS must call loss.backward() before it returns the loss")
            return loss.data if isinstance(loss, Value) else to_float(loss), gradient

        options = {
            "maxiter": self.iterations,
            "maxcor": self.history,
            "gtol": self.tolerance,
            "maxfun": self.evaluations,
        }
        try:
            found = minimize(evaluate, before, jac=True, method="L-BFGS-B", options=options)
        except BaseException:
            self._assign(before)
            raise
        self._assign(found.x.tolist())
        self.taken, self.converged = int(found.nit), found.status == 0
        return float(found.fun)


def clip_by_norm(gradients: Tree, largest: float) -> Tree:
    """Gradients, scaled down so that the Euclidean norm of all numbers together is at most `largest`.

    Parameters
    ----------
    gradients : tree of numbers
        As `autograd.grad` returns it.
    largest : float
        The largest norm. Larger gradients are multiplied by largest / (norm + 1e-6), as in PyTorch.

    Returns
    -------
    tree
        The shape and the direction are those of the gradients.

    Examples
    --------
    >>> from nn import clip_by_norm
    >>> clip_by_norm([3.0, 4.0], 10.0), [round(x, 4) for x in clip_by_norm([3.0, 4.0], 1.0)]
    ([3.0, 4.0], [0.6, 0.8])
    """
    bound = positive("the largest norm", largest)
    numbers, rebuild = flatten(gradients, "gradients")
    if not numbers:
        return rebuild([])
    norm = am.sqrt(vmap(lambda x: x * x, reduce="sum")(numbers))
    scaled = am.sqrt(vmap(lambda x: (DOWN * x) * (DOWN * x), reduce="sum")(numbers))  # whose squares do not overflow
    factor = am.min(1.0, am.where(norm < inf, bound / (norm + TO_AVOID_ZERO), DOWN * bound / (scaled + DOWN)))
    return rebuild(vmap(lambda x, factor: factor * x, in_axes=(0, None))(numbers, factor))


def _like(parameters: Tree, other: Tree, what: str) -> list[Any]:
    """The numbers of another tree of the same shape, in the order of the parameters."""
    found = [leaf for _, leaf in pairs(parameters, other, ("parameters", what))]
    return flatten(found, what)[0]
