"""scikit-learn's interface: classifiers and regressors for pipelines, grid searches and cross-validation.

Parameters, their defaults and the fitted attributes are those of scikit-learn's own `MLPClassifier` and
`MLPRegressor`, so one can take the place of the other. The network itself is `model_`, an `nn.MLP` to look into.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise
from math import inf
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

import autograd.math as am
from autograd.tree import pairs
from nn.callbacks import Callback
from nn.fitting import fit
from nn.layers import MLP
from nn.losses import (
    cross_entropy_with_logits,
    per_observation,
    poisson_with_log_rates,
)
from nn.optimisers import LBFGS, SGD, Adam
from nn.regularisers import L2
from nn.runs import DivergedError
from nn.state import load_state_dict, state_dict

try:
    from scipy.special import expit, softmax
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import accuracy_score, r2_score
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import LabelBinarizer
    from sklearn.utils import check_random_state, column_or_1d
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(f"nn.sklearn needs scikit-learn ({error}): pip install 'scalar-autograd[nn]'") from None

__all__ = ["MLPClassifier", "MLPRegressor"]

Array = NDArray[Any]
RENAMED = {"identity": "linear", "logistic": "sigmoid"}  # scikit-learn's names of activations
STOCHASTIC = ("adam", "sgd")
SLOWEST = 1e-6  # an adaptive learning rate below this ends the training


@per_observation
def half_squares(output: Any, target: Any) -> Any:
    """½ (target - output)², the sum over the outputs."""
    return am.sum([0.5 * (t - o) ** 2 for o, t in pairs(output, target, ("outputs", "targets"))])


@per_observation
def cross_entropies(output: Any, target: Any) -> Any:
    """The cross entropy of each label with its logit, the sum over the labels."""
    return am.sum([am.softplus(z) - t * z for z, t in pairs(output, target, ("outputs", "labels"))])


class OfWeights(L2):
    """½ · factor · Σ weight², without the biases."""

    def decays(self, model: MLP) -> list[float]:
        """The factor for each weight, and 0 for each bias and what an activation learns."""
        weights = {w for layer in model.layers for neuron in layer.neurons for w in neuron.w}
        return [self.factor if parameter in weights else 0.0 for parameter in model.parameters()]

    def __call__(self, model: MLP) -> Any:
        """The penalty."""
        return super().__call__([neuron.w for layer in model.layers for neuron in layer.neurons])


class _Adam(Adam):
    """Adam as scikit-learn has it: epsilon is added to the size before that is corrected for the first steps."""

    def _moved(self, parameter: Any, gradient: Any, rate: Any, count: Any, mean: Any, square: Any) -> tuple[Any, ...]:
        first, second = self.betas
        mean, square = self._averages(gradient, mean, square)
        rate = rate * am.sqrt(1.0 - second**count) / (1.0 - first**count)
        return parameter - rate * mean / (am.sqrt(square) + self.epsilon), mean, square


class _MLP(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What the classifier and the regressor have in common."""

    model_: MLP
    out_activation_: str

    def _keep(self, arguments: dict[str, Any]) -> None:
        """Keep the arguments of `__init__` as they are, in attributes of their names, as scikit-learn expects it."""
        self.__dict__.update({name: value for name, value in arguments.items() if name != "self"})

    # ---- what subclasses define ---------------------------------------------------------------------------------

    def _validated(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Array, Array]:
        """Inputs as float64, and targets as `fit` takes them."""
        raise NotImplementedError

    def _loss_and_outputs(self, y: Array) -> tuple[Callable[..., Any], int, str]:
        """The loss, the number of outputs, and what scikit-learn calls the activation of the last layer."""
        raise NotImplementedError

    def _answers(self, outputs: Array) -> Array:
        """Predictions from the outputs of the model."""
        raise NotImplementedError

    def _score_of(self, y: Array, outputs: Array, weights: Array | None) -> float:
        """The score by which training stops early."""
        raise NotImplementedError

    # ---- fitting ------------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train the network.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (observations, features)
            The inputs.
        y : array_like, shape (observations,) or (observations, outputs)
            The targets.
        sample_weight : array_like, shape (observations,), optional
            How much each observation counts.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight, incremental=False)

    def _fit(self, X: Any, y: Any, sample_weight: Any, incremental: bool) -> Any:
        self._check_parameters()
        first = not hasattr(self, "model_") or not (self.warm_start or incremental)
        X, y = self._validated(X, y, incremental, reset=first)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, X)
        random = check_random_state(self.random_state)
        loss, outputs, self.out_activation_ = self._loss_and_outputs(y)
        if first:
            self._begin(X.shape[1], outputs, random)
        else:
            self._check_network(outputs)
        if self.solver == "lbfgs":
            self._fit_lbfgs(X, y, weights, loss)
        else:
            self._fit_stochastic(X, y, weights, loss, random, incremental)
        return self

    def _begin(self, features: int, outputs: int, random: Any) -> None:
        """A new network with scikit-learn's first numbers: X. Glorot and Y. Bengio, AISTATS 2010."""
        hidden = self._hidden_layer_sizes()
        activation = deepcopy(self.activation)  # it may have parameters, which are trained
        if isinstance(activation, str):
            activation = RENAMED.get(activation, activation)
        self.model_ = MLP(features, [*hidden, outputs], [*[activation] * len(hidden), "linear"], seed=0)
        sizes, state = [features, *hidden, outputs], state_dict(self.model_)
        for i, (inside, outside) in enumerate(pairwise(sizes)):
            bound = np.sqrt((2.0 if self.activation == "logistic" else 6.0) / (inside + outside))
            state[f"layers[{i}].neurons.w"] = random.uniform(-bound, bound, (inside, outside)).T
            state[f"layers[{i}].neurons.b"] = random.uniform(-bound, bound, outside)
        load_state_dict(self.model_, state)
        self.n_layers_, self.n_outputs_ = len(sizes), outputs
        self.t_, self.n_iter_ = 0, 0
        self.loss_curve_: list[float] = []
        self._optimiser_state: Any = None
        self._forget_the_best()

    def _forget_the_best(self) -> None:
        """Nothing has been reached yet."""
        self.best_loss_: Any = None if self.early_stopping else inf
        self.validation_scores_: Any = [] if self.early_stopping else None
        self.best_validation_score_: Any = -inf if self.early_stopping else None

    def _check_network(self, outputs: int) -> None:
        """Raise if training cannot continue with the network that there is."""
        sizes = [len(layer.neurons) for layer in self.model_.layers]
        if sizes != [*self._hidden_layer_sizes(), outputs]:
            raise ValueError(
                f"the network has layers of {sizes} neurons, but hidden_layer_sizes={self.hidden_layer_sizes!r} and y "
                f"ask for {[*self._hidden_layer_sizes(), outputs]}: clone the estimator to begin anew"
            )
        if self.early_stopping != (self.validation_scores_ is not None):
            self._forget_the_best()

    def _fit_lbfgs(self, X: Array, y: Array, weights: Array | None, loss: Any) -> None:
        optimiser = LBFGS(
            self.model_.parameters(), iterations=self.max_iter, tolerance=self.tol, evaluations=self.max_fun
        )
        decay = self.alpha / (len(X) if weights is None else float(weights.sum()))
        history = self._trained(
            X, y, weights, loss, optimizer=optimiser, epochs=1, batch_size=None, seed=0, decay=decay
        )
        self.loss_, self.n_iter_ = history["loss"][-1], optimiser.taken
        if not optimiser.converged:
            warnings.warn(
                f"{optimiser.taken} iterations of L-BFGS were not enough to converge: raise max_iter or max_fun, or "
                "scale the data",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _fit_stochastic(
        self, X: Array, y: Array, weights: Array | None, loss: Any, random: Any, incremental: bool
    ) -> None:
        options: dict[str, Any] = {}
        if self.early_stopping:
            if incremental:
                raise ValueError("partial_fit does not support early_stopping=True: it runs one epoch")
            X, y, weights, held_out, score = self._split(X, y, weights, random)
            options = {"validation": held_out, "metrics": [score]}
        batch_size = self._batch_size(len(X))
        epochs = _Epochs(self, incremental)
        history = self._trained(
            X,
            y,
            weights,
            loss,
            optimizer=self._optimiser(),
            epochs=1 if incremental else self.max_iter,
            batch_size=batch_size,
            seed=int(random.randint(2**31 - 1)),
            decay=self.alpha / (batch_size * (1.0 if weights is None else float(weights.mean()))),
            callbacks=[epochs],
            **options,
        )
        self.n_iter_ = len(history)
        if not incremental and history.stopped is None:
            warnings.warn(
                f"{self.max_iter} epochs were not enough for the loss to converge: raise max_iter, or scale the data",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _trained(
        self, X: Array, y: Array, weights: Array | None, loss: Any, *, decay: float, epochs: int, **options: Any
    ) -> Any:
        """The history of a training."""
        try:
            return fit(
                self.model_,
                X,
                y,
                loss,
                epochs=epochs,
                sample_weight=weights,
                regulariser=OfWeights(decay),
                shuffle=self.shuffle,
                progress=False,
                jit=self.jit,
                **options,
            )
        except DivergedError as error:
            raise ValueError(f"{error} scikit-learn's StandardScaler brings all inputs to one scale.") from error

    def _split(self, X: Array, y: Array, weights: Array | None, random: Any) -> Any:
        """Data to learn from, data to validate with, and the score to watch."""
        arrays = [X, y] if weights is None else [X, y, weights]
        of_two_classes = isinstance(self, ClassifierMixin) and y.ndim == 1 and len(self.classes_) == 2
        stratify = y if of_two_classes else None  # as scikit-learn does it
        parts = train_test_split(*arrays, random_state=random, test_size=self.validation_fraction, stratify=stratify)
        learned, held_out = parts[::2], parts[1::2]
        if len(held_out[0]) < 2:
            raise ValueError(
                f"validation_fraction={self.validation_fraction} of {len(X)} observations leaves fewer than 2 to "
                "validate with: raise it, or give more data"
            )

        def score(outputs: Array, targets: Array) -> float:
            return self._score_of(targets, outputs, None if weights is None else held_out[2])

        return *learned[:2], None if weights is None else learned[2], tuple(held_out), score

    # ---- parameters ---------------------------------------------------------------------------------------------

    def _hidden_layer_sizes(self) -> list[int]:
        given = self.hidden_layer_sizes
        sizes = list(given) if hasattr(given, "__iter__") else [given]
        if not all(isinstance(n, Integral) and int(n) > 0 for n in sizes):
            raise ValueError(f"hidden_layer_sizes must be whole numbers of at least 1, not {given!r}")
        return [int(n) for n in sizes]

    def _batch_size(self, observations: int) -> int:
        if self.batch_size == "auto":
            return min(200, observations)
        if self.batch_size > observations:
            warnings.warn(
                f"batch_size={self.batch_size} is more than the {observations} observations: all are in one batch",
                stacklevel=5,
            )
        return int(min(self.batch_size, observations))

    def _optimiser(self) -> SGD | Adam:
        if self.solver == "adam":
            betas = self.beta_1, self.beta_2
            return _Adam(learning_rate=self.learning_rate_init, betas=betas, epsilon=self.epsilon)
        nesterov = self.nesterovs_momentum and self.momentum > 0
        return SGD(learning_rate=self.learning_rate_init, momentum=self.momentum, nesterov=nesterov)

    def _check_parameters(self) -> None:
        self._hidden_layer_sizes()
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {getattr(self, name)!r}")
        for name, (kind, least, below) in RANGES.items():
            given = getattr(self, name)
            if name == "batch_size" and isinstance(given, str) and given == "auto":
                continue
            if name == "n_iter_no_change" and given == inf:
                continue
            if not isinstance(given, kind) or isinstance(given, bool) or not least <= given < below:
                what = "a whole number" if kind is Integral else "a number"
                bound = f" and below {below:g}" if below < inf else ""
                raise ValueError(f"{name} must be {what} of at least {least:g}{bound}, not {given!r}")
        if self.learning_rate_init == 0:
            raise ValueError("learning_rate_init must be above 0, not 0")

    # ---- predicting ---------------------------------------------------------------------------------------------

    def predict(self, X: Any) -> Array:
        """The predictions for all rows of an array or a sparse matrix."""
        return self._answers(self._outputs(X))

    def _outputs(self, X: Any) -> Array:
        """What the network returns."""
        check_is_fitted(self, "model_")
        X = validate_data(self, X, accept_sparse=["csr", "csc"], dtype=np.float64, reset=False)
        outputs: Array = self.model_.predict(_dense(X), jit=self.jit)
        return outputs

    @property
    def coefs_(self) -> list[Array]:
        """The weights of each layer, of shape (inputs, outputs)."""
        return [array.T for array in self._arrays("w")]

    @property
    def intercepts_(self) -> list[Array]:
        """The biases of each layer."""
        return self._arrays("b")

    def _arrays(self, name: str) -> list[Array]:
        """What all neurons of each layer have under this name."""
        if not hasattr(self, "model_"):
            raise AttributeError(f"this {type(self).__name__} is not fitted yet: call fit first")
        state = state_dict(self.model_)
        return [state[f"layers[{i}].neurons.{name}"] for i in range(len(self.model_.layers))]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _dense(X: Any) -> Array:
    """A sparse matrix as an array: every input is a number of the network."""
    dense: Array = X.toarray() if hasattr(X, "toarray") else X
    return dense


def _change_rate(training: Any, rate: float) -> None:
    """Give SGD another learning rate; past steps keep their size in the momentum, as in scikit-learn."""
    if "velocity" in training.state:
        velocity = np.asarray(training.state["velocity"]) * (training.optimizer.learning_rate / rate)
        training.state = {**training.state, "velocity": velocity}
    training.optimizer.learning_rate = rate


def _is_stochastic(estimator: _MLP) -> bool:
    """Whether `partial_fit` exists: L-BFGS needs all data at once."""
    if estimator.solver not in STOCHASTIC:
        raise AttributeError(f"partial_fit needs solver='adam' or 'sgd', not {estimator.solver!r}")
    return True


class _Epochs(Callback):
    """Counts epochs without an improvement, and adapts the learning rate, as scikit-learn does."""

    changes = False

    def __init__(self, estimator: _MLP, incremental: bool) -> None:
        self.estimator, self.incremental = estimator, incremental
        self.without_improvement = 0
        self.best: Any = None

    def before(self, training: Any) -> None:
        """`partial_fit` continues with what the optimiser remembers."""
        estimator = self.estimator
        if self.incremental and estimator._optimiser_state is not None:
            training.state, training.optimizer.learning_rate = estimator._optimiser_state

    def after_epoch(self, training: Any) -> None:
        """Write down the loss and decide whether to go on."""
        estimator, loss = self.estimator, training.history["loss"][-1]
        estimator.n_iter_, estimator.t_ = training.epoch, estimator.t_ + len(training.data)
        estimator.loss_ = loss
        estimator.loss_curve_.append(loss)
        if estimator.verbose:
            print(f"Iteration {estimator.n_iter_}, loss = {loss:.8f}")
        improved = self._validated(training) if estimator.early_stopping else self._learned(loss)
        self.without_improvement = 0 if improved else self.without_improvement + 1
        if estimator.solver == "sgd" and estimator.learning_rate == "invscaling":
            _change_rate(training, estimator.learning_rate_init / (estimator.t_ + 1) ** estimator.power_t)
        if self.without_improvement > estimator.n_iter_no_change:
            self._give_up(training)

    def _learned(self, loss: float) -> bool:
        """Whether the loss is better than the best one by `tol`."""
        best: float = self.estimator.best_loss_
        self.estimator.best_loss_ = min(loss, best)
        return loss <= best - float(self.estimator.tol)

    def _validated(self, training: Any) -> bool:
        """Whether the validation score is better than the best one by `tol`; the best parameters are kept."""
        estimator, score = self.estimator, training.history["val_score"][-1]
        estimator.validation_scores_.append(score)
        if estimator.verbose:
            print(f"Validation score: {score:f}")
        best = estimator.best_validation_score_
        if score > best:
            estimator.best_validation_score_ = score
            self.best = training.parameters.copy()
        return not score < best + estimator.tol

    def _give_up(self, training: Any) -> None:
        """Stop, or go on with a smaller learning rate."""
        what = "the validation score" if self.estimator.early_stopping else "the loss"
        adaptive = self.estimator.solver == "sgd" and self.estimator.learning_rate == "adaptive"
        if not adaptive or training.optimizer.learning_rate <= SLOWEST:
            training.stop(f"{what} did not improve by tol for {self.estimator.n_iter_no_change} epochs")
            return
        _change_rate(training, training.optimizer.learning_rate / 5.0)
        self.without_improvement = 0
        if self.estimator.verbose:
            print(f"{what} did not improve: the learning rate is now {training.optimizer.learning_rate:g}")

    def after(self, training: Any) -> None:
        """Put back the best parameters, and keep what `partial_fit` continues with."""
        if self.best is not None:
            training.assign(self.best)
        if self.incremental:
            self.estimator._optimiser_state = training.state, training.optimizer.learning_rate


CHOICES: dict[str, tuple[Any, ...]] = {
    "solver": ("adam", "sgd", "lbfgs"),
    "learning_rate": ("constant", "invscaling", "adaptive"),
    "shuffle": (True, False),
    "warm_start": (True, False),
    "nesterovs_momentum": (True, False),
    "early_stopping": (True, False),
    "jit": (True, False),
}
RANGES: dict[str, tuple[Any, float, float]] = {  # the type, the smallest number, and the first one that is too large
    "alpha": (Real, 0.0, inf),
    "batch_size": (Integral, 1, inf),
    "learning_rate_init": (Real, 0.0, inf),
    "power_t": (Real, 0.0, inf),
    "max_iter": (Integral, 1, inf),
    "tol": (Real, 0.0, inf),
    "momentum": (Real, 0.0, 1.0),
    "validation_fraction": (Real, 0.0, 1.0),
    "beta_1": (Real, 0.0, 1.0),
    "beta_2": (Real, 0.0, 1.0),
    "epsilon": (Real, 5e-324, inf),
    "n_iter_no_change": (Integral, 1, inf),
    "max_fun": (Integral, 1, inf),
}


class MLPClassifier(ClassifierMixin, _MLP):  # type: ignore[misc]
    """A classifier: two classes, several, or several labels at once.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        The number of neurons in each hidden layer.
    activation : str or callable
        Of the hidden layers: "identity", "logistic" (scikit-learn's names of "linear" and "sigmoid"), or what
        `nn.Layer` takes: the name of a unary row of the table ("relu", "tanh", "gelu", …) or a function of one number.
    solver : {"adam", "sgd", "lbfgs"}
        The optimiser. L-BFGS uses all data in each step; it suits small data sets.
    alpha : float
        The factor of half the sum of the squares of all weights, which is divided by the number of observations in a
        batch and added to the loss. For a smaller last batch it is divided by the same number as for the others.
    batch_size : int or "auto"
        Observations in a step; "auto" for 200, or all if there are fewer.
    learning_rate : {"constant", "invscaling", "adaptive"}
        How `sgd` changes its learning rate: not at all; divided by (observations seen so far + 1) to the power of
        `power_t`; or divided by 5 each time training would stop, until it is below 1e-6.
    learning_rate_init, power_t : float
        The first learning rate of `adam` and `sgd`, and the power for "invscaling".
    max_iter : int
        The largest number of epochs, or of iterations of L-BFGS.
    shuffle : bool
        Whether the observations get a new order in every epoch.
    random_state : int, RandomState or None
        Fixes the first weights, the order of the data and what is held out.
    tol, n_iter_no_change : float, int
        Training stops when the loss (with `early_stopping` the validation score) has not improved by `tol` for more
        than `n_iter_no_change` epochs in a row.
    verbose : bool
        Print the loss of each epoch.
    warm_start : bool
        Whether `fit` continues with the weights of the last one.
    momentum, nesterovs_momentum : float, bool
        Of `sgd`.
    early_stopping, validation_fraction : bool, float
        Whether to hold out this share of the data, stop by the score on it, and keep the weights with the best one.
    beta_1, beta_2, epsilon : float
        Of `adam`.
    max_fun : int
        The largest number of times that `lbfgs` computes the loss.
    jit : bool
        Compile the training and the predictions. Without it the numbers are the same within rounding, but it is slow.

    Attributes
    ----------
    model_ : MLP
        The network; its outputs are logits.
    classes_ : ndarray
        The classes, sorted.
    coefs_, intercepts_ : list of ndarray
        The weights, of shape (inputs, outputs), and the biases of each layer.
    loss_, loss_curve_ : float, list of float
        The loss of the last epoch, and of each.
    best_loss_, best_validation_score_, validation_scores_
        As in scikit-learn; None where they do not apply.
    n_iter_, t_ : int
        The number of epochs, and of observations seen.
    n_features_in_, feature_names_in_, n_layers_, n_outputs_, out_activation_
        As in scikit-learn.

    Raises
    ------
    ValueError
        From `fit`, if a parameter or the data are wrong, or the loss is no longer a finite number.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from sklearn.model_selection import train_test_split
    >>> from nn.sklearn import MLPClassifier
    >>> X, y = make_moons(300, noise=0.1, random_state=0)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    >>> classifier = MLPClassifier((16,), "tanh", solver="lbfgs", random_state=0).fit(X_train, y_train)
    >>> classifier.score(X_test, y_test) > 0.95
    True
    """

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int | float = 10,
        max_fun: int = 15000,
        jit: bool = True,
    ) -> None:
        self._keep(locals())

    # ---- targets ------------------------------------------------------------------------------------------------

    def _validated(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Array, Array]:
        """Inputs, and 0 or 1, a class counted from 0, or a row of labels for each observation."""
        X, y = validate_data(self, X, y, accept_sparse=["csr", "csc"], multi_output=True, dtype=np.float64, reset=reset)
        if y.ndim == 2 and y.shape[1] == 1 and not hasattr(y, "toarray"):
            y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        if reset and not incremental:
            self._binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._binarizer.classes_
        else:
            self._check_classes(y)
        columns = _dense(self._binarizer.transform(y)).astype(np.float64)
        if self._binarizer.y_type_ == "multiclass":
            return _dense(X), columns.argmax(axis=1)
        return _dense(X), columns[:, 0] if columns.shape[1] == 1 else columns

    def _check_classes(self, y: Any) -> None:
        """Raise for a class that the network does not know."""
        unknown = np.setdiff1d(unique_labels(y), self.classes_)
        if len(unknown):
            raise ValueError(f"y has the classes {unknown.tolist()}, which were not in {self.classes_.tolist()} before")

    def _loss_and_outputs(self, y: Array) -> tuple[Callable[..., Any], int, str]:
        if self._binarizer.y_type_ == "multiclass":
            return cross_entropy_with_logits, len(self.classes_), "softmax"
        return cross_entropies, y.shape[1] if y.ndim == 2 else 1, "logistic"

    # ---- predicting ---------------------------------------------------------------------------------------------

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, or of each label: an array of shape (observations, classes)."""
        probabilities = self._probabilities(self._outputs(X))
        if probabilities.ndim == 2:
            return probabilities
        return np.column_stack([1.0 - probabilities, probabilities])

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithms of the probabilities."""
        with np.errstate(divide="ignore"):  # the logarithm of 0 is -inf
            return np.log(self.predict_proba(X))

    def _probabilities(self, outputs: Array) -> Array:
        found: Array = softmax(outputs, axis=1) if self.out_activation_ == "softmax" else expit(outputs)
        return found

    def _answers(self, outputs: Array) -> Array:
        answers: Array = self._binarizer.inverse_transform(self._probabilities(outputs))
        return answers

    def _score_of(self, y: Array, outputs: Array, weights: Array | None) -> float:
        answers = outputs.argmax(axis=1) if self.out_activation_ == "softmax" else outputs > 0
        return float(accuracy_score(y, answers, sample_weight=weights))

    # ---- one epoch at a time --------------------------------------------------------------------------------------

    @available_if(_is_stochastic)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> MLPClassifier:
        """Train for one epoch, and keep what the optimiser remembers for the next call.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array_like, shape (classes,)
            All classes that will ever come; needed in the first call.

        Returns
        -------
        self
        """
        if not hasattr(self, "model_"):
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit: all that will ever come")
            known = y if type_of_target(y).startswith("multilabel") else np.unique(classes)
            self._binarizer = LabelBinarizer().fit(known)
            self.classes_ = self._binarizer.classes_
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(f"classes={classes!r} is not the same as on the last call, {self.classes_.tolist()}")
        self._fit(X, y, sample_weight, incremental=True)
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, _MLP):  # type: ignore[misc]
    """A regressor for one number or several.

    Parameters
    ----------
    loss : {"squared_error", "poisson"}
        ½ (target - output)², summed over the outputs; or for counts the Poisson loss of a rate, of which the network
        gives the logarithm.
    hidden_layer_sizes : int or sequence of int
        The number of neurons in each hidden layer.
    activation : str or callable
        Of the hidden layers: "identity", "logistic" (scikit-learn's names of "linear" and "sigmoid"), or what
        `nn.Layer` takes: the name of a unary row of the table ("relu", "tanh", "gelu", …) or a function of one number.
    solver : {"adam", "sgd", "lbfgs"}
        The optimiser. L-BFGS uses all data in each step; it suits small data sets.
    alpha : float
        The factor of half the sum of the squares of all weights, which is divided by the number of observations in a
        batch and added to the loss. For a smaller last batch it is divided by the same number as for the others.
    batch_size : int or "auto"
        Observations in a step; "auto" for 200, or all if there are fewer.
    learning_rate : {"constant", "invscaling", "adaptive"}
        How `sgd` changes its learning rate: not at all; divided by (observations seen so far + 1) to the power of
        `power_t`; or divided by 5 each time training would stop, until it is below 1e-6.
    learning_rate_init, power_t : float
        The first learning rate of `adam` and `sgd`, and the power for "invscaling".
    max_iter : int
        The largest number of epochs, or of iterations of L-BFGS.
    shuffle : bool
        Whether the observations get a new order in every epoch.
    random_state : int, RandomState or None
        Fixes the first weights, the order of the data and what is held out.
    tol, n_iter_no_change : float, int
        Training stops when the loss (with `early_stopping` the validation score) has not improved by `tol` for more
        than `n_iter_no_change` epochs in a row.
    verbose : bool
        Print the loss of each epoch.
    warm_start : bool
        Whether `fit` continues with the weights of the last one.
    momentum, nesterovs_momentum : float, bool
        Of `sgd`.
    early_stopping, validation_fraction : bool, float
        Whether to hold out this share of the data, stop by the score on it, and keep the weights with the best one.
    beta_1, beta_2, epsilon : float
        Of `adam`.
    max_fun : int
        The largest number of times that `lbfgs` computes the loss.
    jit : bool
        Compile the training and the predictions. Without it the numbers are the same within rounding, but it is slow.

    Attributes
    ----------
    model_ : MLP
        The network; its outputs are the predictions, or their logarithms.
    coefs_, intercepts_ : list of ndarray
        The weights, of shape (inputs, outputs), and the biases of each layer.
    loss_, loss_curve_ : float, list of float
        The loss of the last epoch, and of each. That of several outputs is the sum over them, whose gradient is
        followed; scikit-learn follows the same gradient, and shows the mean.
    best_loss_, best_validation_score_, validation_scores_
        As in scikit-learn; None where they do not apply.
    n_iter_, t_ : int
        The number of epochs, and of observations seen.
    n_features_in_, feature_names_in_, n_layers_, n_outputs_, out_activation_
        As in scikit-learn.

    Raises
    ------
    ValueError
        From `fit`, if a parameter or the data are wrong, or the loss is no longer a finite number.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from nn.sklearn import MLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> network = MLPRegressor("squared_error", (8,), "tanh", learning_rate_init=0.01, max_iter=2000, random_state=0)
    >>> regressor = make_pipeline(StandardScaler(), network).fit(X, y)
    >>> regressor.score(X, y) > 0.5
    True
    """

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int | float = 10,
        max_fun: int = 15000,
        jit: bool = True,
    ) -> None:
        self._keep(locals())

    def _validated(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Array, Array]:
        """Inputs and targets as float64."""
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=True,
            dtype=np.float64,
            reset=reset,
        )
        y = np.asarray(y, dtype=np.float64)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError(f"y has negative values, such as {y[y < 0][0]}: loss='poisson' is for counts")
        return _dense(X), y

    def _loss_and_outputs(self, y: Array) -> tuple[Callable[..., Any], int, str]:
        outputs = y.shape[1] if y.ndim == 2 else 1
        if self.loss == "poisson":
            return poisson_with_log_rates, outputs, "exp"
        return half_squares, outputs, "identity"

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.loss not in ("squared_error", "poisson"):
            raise ValueError(f"loss must be 'squared_error' or 'poisson', not {self.loss!r}")

    def _answers(self, outputs: Array) -> Array:
        return np.exp(outputs) if self.loss == "poisson" else outputs

    def _score_of(self, y: Array, outputs: Array, weights: Array | None) -> float:
        return float(r2_score(y, self._answers(outputs), sample_weight=weights))

    @available_if(_is_stochastic)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Train for one epoch, and keep what the optimiser remembers for the next call."""
        self._fit(X, y, sample_weight, incremental=True)
        return self
