"""The estimators: scikit-learn's own checks, its own numbers, and its tools around them."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse
from sklearn import neural_network
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import autograd.math as am
from autograd import Value
from nn import MLP, Module, steps
from nn.onnx import to_onnx
from nn.prediction import Kept
from nn.sklearn import MLPClassifier, MLPRegressor

X, Y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
WEIGHTS = np.random.default_rng(0).uniform(0.5, 2.0, len(X))
LABELS = np.column_stack([Y == 0, Y > 0, X[:, 0] > 0]).astype(int)
NUMBER = X @ [1.0, 2.0, -1.0, 0.5] + X[:, 0] ** 2
TARGETS = {
    "two classes": (MLPClassifier, Y > 0),
    "three classes": (MLPClassifier, Y),
    "labels": (MLPClassifier, LABELS),
    "a number": (MLPRegressor, NUMBER),
    "two numbers": (MLPRegressor, np.column_stack([NUMBER, -NUMBER])),
}
SOLVERS = [
    {"solver": "sgd"},
    {"solver": "sgd", "momentum": 0.0, "alpha": 0.0},
    {"solver": "sgd", "momentum": 0.5, "nesterovs_momentum": False, "batch_size": 50, "alpha": 0.0},
    {"solver": "sgd", "learning_rate": "invscaling", "activation": "tanh"},
    {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.2, "tol": 1e-2, "n_iter_no_change": 2},
    {"solver": "adam", "activation": "logistic"},
    {"solver": "adam", "activation": "identity", "hidden_layer_sizes": (4, 3), "epsilon": 1e-4},
    {"solver": "adam", "early_stopping": True},
]


@pytest.fixture(autouse=True)
def _short_runs():
    """Most fits here end before they converge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def both(kind, y, weights=None, **options):
    """The same fit by this package and by scikit-learn."""
    options = {"hidden_layer_sizes": (5,), "shuffle": False, "random_state": 3, "max_iter": 30, **options}
    theirs = getattr(neural_network, kind.__name__)
    return kind(**options).fit(X, y, weights), theirs(**options).fit(X, y, weights)


# ---- scikit-learn's own checks -------------------------------------------------------------------------------------

SMALL = {"hidden_layer_sizes": (10,), "learning_rate_init": 0.02}


def checked(estimator):
    """Run all of scikit-learn's checks; what it skips, it skips for its own estimators too."""
    results = check_estimator(estimator, on_skip=None)
    skipped = {result["check_name"] for result in results if result["status"] == "skipped"}
    assert skipped <= {"check_array_api_input", "check_classifiers_multilabel_output_format_decision_function"}
    assert {"passed", "skipped"} >= {result["status"] for result in results}
    return results


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [MLPClassifier(**SMALL), MLPRegressor(**SMALL)], ids=lambda e: type(e).__name__)
def test_all_checks_of_scikit_learn(estimator):
    """`check_estimator`, in full."""
    assert len(checked(estimator)) > 50


@pytest.mark.slow
@pytest.mark.parametrize(
    "estimator",
    [
        MLPClassifier((10,), solver="lbfgs"),  # with 4, rounding decides which minimum is found, in scikit-learn too
        MLPRegressor("squared_error", (10,), solver="lbfgs"),
    ],
    ids=["classifier", "regressor"],
)
def test_all_checks_of_scikit_learn_with_lbfgs(estimator):
    """The other kind of solver."""
    checked(estimator)


# ---- the same numbers ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("options", SOLVERS)
def test_training_is_that_of_scikit_learn(options, target, weights):
    """Weights and biases after all epochs are the same, for all solvers with all kinds of targets: digit for digit."""
    kind, y = TARGETS[target]
    ours, theirs = both(kind, y, weights, **options)
    tolerance = 1e-9
    assert theirs.n_iter_ == ours.n_iter_
    assert theirs.t_ == ours.t_
    for mine, reference in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        np.testing.assert_allclose(mine, reference, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=10 * tolerance, atol=10 * tolerance)
    if target != "two numbers" and not (weights is not None and "batch_size" in options):
        # (scikit-learn reports the mean over outputs, of which it minimises the sum; and counts batches, not weights)
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=tolerance)


@pytest.mark.parametrize("target", ["two classes", "a number"])
def test_early_stopping_is_that_of_scikit_learn(target):
    """The same data held out, the same scores, the same best weights."""
    kind, y = TARGETS[target]
    ours, theirs = both(kind, y, early_stopping=True, max_iter=60, learning_rate_init=0.01, solver="sgd")
    assert theirs.n_iter_ == ours.n_iter_
    np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_, rtol=1e-9)
    assert pytest.approx(theirs.best_validation_score_) == ours.best_validation_score_
    np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=1e-9)
    assert ours.best_loss_ is None


@pytest.mark.parametrize("target", [name for name in TARGETS if name != "two numbers"])
def test_lbfgs_finds_what_scikit_learn_finds(target):
    """The same minimum, from the same start (for two numbers scikit-learn's gradient is not that of its loss)."""
    kind, y = TARGETS[target]
    ours, theirs = both(kind, y, solver="lbfgs", max_iter=15, alpha=0.1)
    assert theirs.n_iter_ == ours.n_iter_ == 15
    assert pytest.approx(theirs.loss_, rel=1e-2) == ours.loss_


def test_counts():
    """The Poisson loss has a logarithmic link."""
    counts = np.random.default_rng(1).poisson(np.exp(0.5 * X[:, 0]))
    ours, theirs = both(MLPRegressor, counts, loss="poisson", solver="sgd")
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-10)
    assert "exp" == ours.out_activation_


def test_partial_fit_continues_with_the_memory_of_the_optimiser():
    """Ten calls are ten epochs of `fit`, and the same as scikit-learn's."""
    for options in ({"solver": "adam"}, {"solver": "sgd", "learning_rate": "invscaling"}):
        options |= {"hidden_layer_sizes": (5,), "shuffle": False, "random_state": 3, "learning_rate_init": 0.05}
        ours, theirs = MLPClassifier(**options), neural_network.MLPClassifier(**options)
        for _ in range(10):
            ours.partial_fit(X, Y, classes=[0, 1, 2])
            theirs.partial_fit(X, Y, classes=[0, 1, 2])
        once = MLPClassifier(max_iter=10, **options).fit(X, Y)
        np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=1e-4)
        np.testing.assert_allclose(ours.coefs_[0], once.coefs_[0], rtol=1e-12)
        assert 10 == len(ours.loss_curve_)


def test_warm_start_continues_with_the_weights():
    """The second fit begins where the first one ended."""
    model = MLPClassifier((5,), warm_start=True, max_iter=20, random_state=0).fit(X, Y)
    first, network = model.loss_, model.model_
    assert model.fit(X, Y).loss_ < first
    assert network is model.model_
    with pytest.raises(ValueError, match=r"y has the classes \['x', 'y'\], which were not in \[0, 1, 2\] before"):
        model.fit(X[:2], ["x", "y"])


def test_warm_start_with_another_network():
    """The old network is not trained in silence in place of the one that was asked for."""
    model = MLPRegressor("squared_error", (5,), warm_start=True, max_iter=2, random_state=0).fit(X, NUMBER)
    with pytest.raises(ValueError, match=r"layers of \[5, 1\] neurons, but .* ask for \[6, 1\]: clone"):
        model.set_params(hidden_layer_sizes=(6,)).fit(X, NUMBER)
    with pytest.raises(ValueError, match=r"ask for \[5, 2\]"):
        model.set_params(hidden_layer_sizes=(5,)).fit(X, np.column_stack([NUMBER, NUMBER]))


def test_without_jit():
    """The same numbers from the graph."""
    options = {"hidden_layer_sizes": (3,), "max_iter": 3, "random_state": 0, "batch_size": 50}
    compiled, eager = MLPClassifier(**options).fit(X, Y), MLPClassifier(jit=False, **options).fit(X, Y)
    np.testing.assert_allclose(eager.predict_proba(X), compiled.predict_proba(X), rtol=1e-10)


# ---- the tools of scikit-learn -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_grid_search_in_two_processes():
    """Estimators and results travel between processes."""
    search = GridSearchCV(
        make_pipeline(StandardScaler(), MLPClassifier(random_state=0, max_iter=60, learning_rate_init=0.05)),
        {"mlpclassifier__hidden_layer_sizes": [(2,), (6,)], "mlpclassifier__activation": ["tanh"]},
        n_jobs=2,
        cv=3,
    ).fit(X, Y)
    assert search.best_score_ > 0.9
    assert search.best_score_ == cross_val_score(clone(search.best_estimator_), X, Y, cv=3).mean()


def test_searching_for_a_strength_compiles_once(monkeypatch):
    """Another alpha, learning rate, seed or number of observations in a large data set is another number, no more."""
    compiled = Kept()
    monkeypatch.setattr(steps, "_compiled", compiled)
    x, y = np.tile(X, (4, 1)), np.tile(Y, 4)
    options = {"hidden_layer_sizes": (7,), "activation": "silu", "max_iter": 2}
    for alpha, rate, rows in ((0.0, 0.001, 600), (0.1, 0.01, 600), (10.0, 0.1, 450)):
        MLPClassifier(alpha=alpha, learning_rate_init=rate, random_state=rows, **options).fit(x[:rows], y[:rows])
    assert 1 == len(compiled._found)


def test_clone_pickle_and_what_they_keep():
    """A clone is unfitted with the same parameters; a pickle predicts the same, and can train on."""
    model = MLPClassifier((4,), am.softplus, random_state=0, max_iter=10).fit(X, Y)
    copy = clone(model)
    assert model.get_params() == copy.get_params()
    assert not hasattr(copy, "coefs_")
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(model.predict_proba(X), again.predict_proba(X))
    again.partial_fit(X, Y)
    model.partial_fit(X, Y)
    assert np.array_equal(model.predict_proba(X), again.predict_proba(X))


def test_seeds():
    """Equal seeds give equal networks, bit for bit; other seeds give others."""
    one, same, other = (
        MLPRegressor(hidden_layer_sizes=(4,), random_state=s, max_iter=5).fit(X, NUMBER) for s in (1, 1, 2)
    )
    assert np.array_equal(one.predict(X), same.predict(X))
    assert not np.array_equal(one.predict(X), other.predict(X))


def test_pandas_and_names_of_features():
    """A frame's column names are kept, and must be the same when predicting."""
    import pandas

    frame = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    model = MLPClassifier((3,), random_state=0, max_iter=5).fit(frame, pandas.Series(Y))
    assert ["a", "b", "c", "d"] == list(model.feature_names_in_)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[["b", "a", "c", "d"]])


# ---- kinds of targets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [["setosa", "versicolor", "virginica"], [10, 20, 30], [True, False, False]])
def test_classes_of_any_kind(names):
    """Text, numbers that are not 0, 1, 2, and truths."""
    y = np.array(names)[Y]
    model = MLPClassifier((6,), "tanh", random_state=0, max_iter=100, learning_rate_init=0.05).fit(X, y)
    assert sorted(set(names)) == model.classes_.tolist()
    assert y.dtype == model.predict(X).dtype
    assert model.score(X, y) > 0.9
    assert (len(X), len(set(names))) == model.predict_proba(X).shape
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1.0)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X))


def test_several_labels_dense_and_sparse():
    """A sparse matrix of labels trains the same network, and comes back sparse, as from scikit-learn."""
    options = {"hidden_layer_sizes": (6,), "random_state": 0, "max_iter": 80, "learning_rate_init": 0.05}
    dense, sparse = MLPClassifier(**options).fit(X, LABELS), MLPClassifier(**options)
    sparse.fit(X, scipy.sparse.csr_matrix(LABELS))
    theirs = neural_network.MLPClassifier(**options).fit(X, scipy.sparse.csr_matrix(LABELS))
    assert type(theirs.predict(X)) is type(sparse.predict(X))
    assert np.array_equal(dense.predict(X), sparse.predict(X).toarray())
    assert np.array_equal(dense.predict_proba(X), sparse.predict_proba(X))
    assert LABELS.shape == dense.predict_proba(X).shape
    assert dense.score(X, LABELS) > 0.8


def test_sparse_inputs():
    """A sparse matrix is the same as the array."""
    model = MLPClassifier((4,), random_state=0, max_iter=10)
    dense = model.fit(X, Y).predict_proba(X)
    for kind in (scipy.sparse.csr_matrix, scipy.sparse.csc_array, scipy.sparse.coo_matrix):
        assert np.array_equal(dense, model.fit(kind(X), Y).predict_proba(kind(X)))


def test_one_class():
    """There is one answer."""
    model = MLPClassifier((3,), random_state=0, max_iter=5).fit(X[:50], ["only"] * 50)
    assert {"only"} == set(model.predict(X))


def test_a_weight_of_two_is_the_observation_twice():
    """In a single batch; a weight of 0 leaves an observation out."""
    twice = np.r_[0:100, 50:100]
    weights = np.r_[np.ones(50), np.full(50, 2.0), np.zeros(50)]
    options = {"hidden_layer_sizes": (4,), "random_state": 0, "max_iter": 20, "alpha": 1.0, "solver": "sgd"}
    weighted = MLPClassifier(**options).fit(X, Y == 1, sample_weight=weights)
    repeated = MLPClassifier(**options).fit(X[twice], Y[twice] == 1)
    np.testing.assert_allclose(weighted.coefs_[0], repeated.coefs_[0], rtol=1e-9)


# ---- the network inside --------------------------------------------------------------------------------------------


def test_the_network_is_an_mlp():
    """Its outputs are the logits; it goes to ONNX; its Values are the trained weights."""
    pytest.importorskip("onnx")
    model = MLPClassifier((4, 3), ["tanh", "relu"][0], random_state=0, max_iter=10).fit(X, Y)
    assert type(model.model_) is MLP
    logits = np.array([[y.data for y in model.model_(row.tolist())] for row in X[:5]])
    np.testing.assert_allclose(np.exp(logits - logits.max(1, keepdims=True)).argmax(1), model.predict(X[:5]))
    assert model.coefs_[0][1, 2] == model.model_.layers[0].neurons[2].w[1].data
    assert [(4, 4), (4, 3), (3, 3)] == [weights.shape for weights in model.coefs_]
    assert ["x"] == [given.name for given in to_onnx(model.model_).graph.input]


class Leaky(Module):
    """An activation that learns its slope."""

    def __init__(self):
        self.slope = Value(0.25)

    def __call__(self, x):
        """x, or slope · x below 0."""
        return am.where(x > 0.0, x, self.slope * x)


def test_an_activation_that_learns():
    """Its parameter is trained in the network; the one that was passed stays."""
    leaky = Leaky()
    model = MLPClassifier((4,), leaky, random_state=0, max_iter=20, learning_rate_init=0.05, alpha=1.0).fit(X, Y)
    (slope,) = {neuron.activation.slope.data for neuron in model.model_.layers[0].neurons}
    assert 0.25 == leaky.slope.data != slope
    assert [(4, 4), (4, 3)] == [weights.shape for weights in model.coefs_]
    eager = clone(model).set_params(jit=False, max_iter=2).fit(X, Y)
    np.testing.assert_allclose(eager.coefs_[0], clone(model).set_params(max_iter=2).fit(X, Y).coefs_[0], rtol=1e-9)


def test_early_stopping_after_a_warm_start_without():
    """A switch between two fits does not compare scores with losses."""
    model = MLPClassifier((3,), warm_start=True, max_iter=5, random_state=0).fit(X, Y)
    model.set_params(early_stopping=True).fit(X, Y)
    assert 5 == len(model.validation_scores_)
    assert model.set_params(early_stopping=False).fit(X, Y).best_loss_ < 2.0


def test_attributes_are_those_of_scikit_learn():
    """A fitted estimator has all public attributes of scikit-learn's, with the same values where they are settings."""
    ours, theirs = both(MLPClassifier, Y)
    public = {name for name in vars(theirs) if name.endswith("_") and not name.startswith("_")}
    assert not [name for name in public if not hasattr(ours, name)]
    for name in ("n_layers_", "n_outputs_", "out_activation_", "n_features_in_", "n_iter_", "t_"):
        assert getattr(theirs, name) == getattr(ours, name)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_parameters_are_those_of_scikit_learn(kind):
    """With the same defaults, so that one takes the place of the other; `jit` is ours."""
    theirs = getattr(neural_network, kind.__name__)().get_params()
    assert {**theirs, "jit": True} == kind().get_params()


def test_verbose(capsys):
    """A line for each epoch."""
    MLPClassifier((2,), max_iter=2, verbose=True, random_state=0).fit(X, Y)
    lines = capsys.readouterr().out.splitlines()
    assert ["Iteration 1, loss", "Iteration 2, loss"] == [line.partition(" =")[0] for line in lines]


# ---- errors and warnings -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_layer_sizes": (0,)}, r"hidden_layer_sizes must be whole numbers of at least 1, not \(0,\)"),
        ({"hidden_layer_sizes": 2.5}, "hidden_layer_sizes must be whole numbers of at least 1, not 2.5"),
        ({"activation": "step"}, "activation must be a function, 'linear' or one of .*; not 'step'"),
        ({"solver": "newton"}, "solver must be one of 'adam', 'sgd', 'lbfgs', not 'newton'"),
        ({"learning_rate": "slow"}, "learning_rate must be one of 'constant', 'invscaling', 'adaptive', not 'slow'"),
        ({"alpha": -1.0}, "alpha must be a number of at least 0, not -1.0"),
        ({"alpha": np.nan}, "alpha must be a number of at least 0, not nan"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, not 0"),
        ({"batch_size": "all"}, "batch_size must be a whole number of at least 1, not 'all'"),
        ({"max_iter": 2.0}, "max_iter must be a whole number of at least 1, not 2.0"),
        ({"max_iter": True}, "max_iter must be a whole number of at least 1, not True"),
        ({"momentum": 1.0}, "momentum must be a number of at least 0 and below 1, not 1.0"),
        ({"learning_rate_init": 0}, "learning_rate_init must be above 0"),
        ({"beta_1": "a"}, "beta_1 must be a number of at least 0 and below 1, not 'a'"),
        ({"early_stopping": "yes"}, "early_stopping must be one of True, False, not 'yes'"),
        ({"early_stopping": True, "validation_fraction": 0.001}, "test_size|fewer than 2"),
    ],
)
def test_wrong_parameters(options, message):
    """Each is named with its value."""
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**options).fit(X, Y)


@pytest.mark.parametrize(
    ("kind", "x", "y", "message"),
    [
        (MLPClassifier, X, NUMBER, "Unknown label type"),
        (MLPClassifier, X[:3], Y, "inconsistent numbers of samples"),
        (MLPClassifier, np.full((2, 2), np.nan), [0, 1], "contains NaN"),
        (MLPRegressor, X, np.full(len(X), np.inf), "contains infinity"),
        (MLPRegressor, X, None, "requires y to be passed"),
    ],
)
def test_wrong_data(kind, x, y, message):
    """In scikit-learn's own words."""
    with pytest.raises(ValueError, match=message):
        kind().fit(x, y)


def test_counts_are_not_negative():
    """The message names one that is."""
    with pytest.raises(ValueError, match=r"y has negative values, such as -1.0: loss='poisson' is for counts"):
        MLPRegressor("poisson").fit([[0.0], [1.0]], [1.0, -1.0])
    with pytest.raises(ValueError, match="loss must be 'squared_error' or 'poisson', not 'huber'"):
        MLPRegressor("huber").fit([[0.0], [1.0]], [1.0, 1.0])


def test_a_training_that_diverges():
    """An error with advice, and not a network of nan."""
    with pytest.raises(ValueError, match=r"the loss is (inf|nan) in epoch .*StandardScaler"):
        MLPRegressor(solver="sgd", learning_rate_init=10.0, hidden_layer_sizes=(4,), random_state=0).fit(
            1e3 * X, NUMBER
        )


def test_before_fit():
    """Nothing can be predicted."""
    with pytest.raises(NotFittedError):
        MLPClassifier().predict(X)
    with pytest.raises(AttributeError, match="not fitted yet"):
        _ = MLPClassifier().coefs_


def test_partial_fit_and_its_limits():
    """It needs the classes at first, has one epoch, and does not exist for L-BFGS."""
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        MLPClassifier().partial_fit(X, Y)
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        MLPClassifier(early_stopping=True).partial_fit(X, Y, classes=[0, 1, 2])
    assert not hasattr(MLPClassifier(solver="lbfgs"), "partial_fit")
    model = MLPClassifier((2,), random_state=0).partial_fit(X, Y, classes=[0, 1, 2, 3])
    with pytest.raises(ValueError, match=r"y has the classes \[5\], which were not in \[0, 1, 2, 3\] before"):
        model.partial_fit(X, np.full(len(X), 5))
    with pytest.raises(ValueError, match="is not the same as on the last call"):
        model.partial_fit(X, Y, classes=[0, 1])


@pytest.mark.filterwarnings("error")
def test_warnings_that_help():
    """Too few epochs, and a batch larger than the data."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConvergenceWarning, match="2 epochs were not enough"):
            MLPClassifier((2,), max_iter=2, random_state=0).fit(X, Y)
        with pytest.raises(ConvergenceWarning, match="1 iterations of L-BFGS were not enough"):
            MLPClassifier((2,), max_iter=1, random_state=0, solver="lbfgs").fit(X, Y)
        with pytest.raises(UserWarning, match="batch_size=1000 is more than the 150 observations"):
            MLPClassifier((2,), batch_size=1000).fit(X, Y)


def test_interrupted(monkeypatch):
    """Ctrl-C ends the training; the network has the weights after the last complete step, and predicts."""
    model = MLPClassifier((3,), random_state=0, max_iter=1000)
    model.fit(X[:10], Y[:10] > 0)

    def stop(self, training):
        raise KeyboardInterrupt

    monkeypatch.setattr("nn.sklearn._Epochs.after_epoch", stop)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert (len(X), 3) == model.predict_proba(X).shape
