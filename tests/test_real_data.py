"""What small networks reach on well-known data, on observations that they have not seen."""

import warnings

import numpy as np
import pytest
from sklearn import datasets, neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nn import MLP, Adam, fit
from nn.sklearn import MLPClassifier, MLPRegressor

SEEDS = range(3)
MOONS = datasets.make_moons(800, noise=0.1, random_state=0)
CIRCLES = datasets.make_circles(800, noise=0.05, factor=0.5, random_state=0)


@pytest.fixture(autouse=True)
def _a_fixed_number_of_epochs():
    """No run here has to converge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def split(x, y, seed, **options):
    """Three quarters to learn from, a quarter to test with."""
    return train_test_split(x, y, test_size=0.25, random_state=seed, **options)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("data", [MOONS, CIRCLES], ids=["moons", "circles"])
def test_moons_and_circles(data, seed):
    """At least 99 % on held-out points, with a 2-16-16-1 network."""
    learn_x, test_x, learn_y, test_y = split(*data, seed, stratify=data[1])
    model = MLP(2, [16, 16, 1], activation="relu", seed=seed)
    loss, optimizer = "binary_cross_entropy_with_logits", Adam(learning_rate=0.01)
    fit(model, learn_x, learn_y, loss, optimizer, epochs=60, seed=seed, progress=False)
    assert np.mean((model.predict(test_x) > 0) == test_y) >= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_digits(seed):
    """At least 96 % on held-out digits, with a 64-32-10 network."""
    x, y = datasets.load_digits(return_X_y=True)
    learn_x, test_x, learn_y, test_y = split(x / 16.0, y, seed, stratify=y)
    model = MLP(64, [32, 10], activation="relu", seed=seed, initialiser="he_uniform")
    loss, optimizer = "cross_entropy_with_logits", Adam(learning_rate=0.005)
    fit(model, learn_x, learn_y, loss, optimizer, epochs=30, seed=seed, progress=False)
    assert np.mean(model.predict(test_x).argmax(axis=1) == test_y) >= 0.96


@pytest.mark.slow
@pytest.mark.parametrize(
    ("load", "bar", "options"),
    [
        (datasets.load_iris, 0.95, {"learning_rate_init": 0.02, "max_iter": 200, "alpha": 1.0}),
        (datasets.load_breast_cancer, 0.96, {"learning_rate_init": 0.01, "max_iter": 150, "alpha": 3.0}),
    ],
    ids=["iris", "breast cancer"],
)
def test_iris_and_breast_cancer(load, bar, options):
    """The mean of five folds, for three seeds."""
    x, y = load(return_X_y=True)
    for seed in SEEDS:
        model = make_pipeline(StandardScaler(), MLPClassifier((8,), random_state=seed, **options))
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        assert cross_val_score(model, x, y, cv=folds).mean() >= bar


@pytest.mark.slow
def test_diabetes():
    """R² is no worse than that of scikit-learn's network of the same size by more than 0.02."""
    x, y = datasets.load_diabetes(return_X_y=True)
    scores = {MLPRegressor: [], neural_network.MLPRegressor: []}
    for seed in SEEDS:
        learn_x, test_x, learn_y, test_y = split(x, y, seed)
        for kind, found in scores.items():
            network = kind(
                hidden_layer_sizes=(16,), learning_rate_init=0.01, alpha=1.0, max_iter=300, random_state=seed
            )
            model = make_pipeline(StandardScaler(), network).fit(learn_x, learn_y)
            found.append(model.score(test_x, test_y))
    ours, theirs = map(np.mean, scores.values())
    assert ours >= theirs - 0.02
    assert ours > 0.3


def test_sunspots(record_property):
    """One year ahead, the error of the last 60 years is below persistence; that of an AR(9) model is reported."""
    import statsmodels.api  # takes a second, also where this test is only collected
    from statsmodels.tsa.ar_model import AutoReg

    years = statsmodels.api.datasets.sunspots.load_pandas().data["SUNACTIVITY"].to_numpy()
    lags, held_out = 9, 60
    roots = np.sqrt(years)  # their spread does not grow with their size
    centre, width = roots[:-held_out].mean(), roots[:-held_out].std()
    scaled = (roots - centre) / width
    x = np.lib.stride_tricks.sliding_window_view(scaled, lags)[:-1]
    y = scaled[lags:]

    def error(predicted):
        return float(np.sqrt(np.mean((predicted - years[-held_out:]) ** 2)))

    coefficients = AutoReg(years[:-held_out], lags).fit().params
    before = np.lib.stride_tricks.sliding_window_view(years, lags)[-held_out - 1 : -1, ::-1]
    autoregression = error(coefficients[0] + before @ coefficients[1:])
    persistence = error(years[-held_out - 1 : -1])
    for seed in SEEDS:
        network = MLPRegressor("squared_error", (8,), "tanh", solver="lbfgs", alpha=5.0, random_state=seed)
        network.fit(x[:-held_out], y[:-held_out])
        ours = error((network.predict(x[-held_out:]) * width + centre) ** 2)
        record_property("errors", {"network": ours, "AR(9)": autoregression, "persistence": persistence})
        assert ours < 0.75 * persistence
        assert ours < 1.05 * autoregression
