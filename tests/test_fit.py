"""`fit` trains: the same numbers compiled and on the graph, on data of any kind, with what happens between epochs."""

import functools
import math
import threading

import numpy as np
import pytest

import autograd.math as am
import nn
from autograd import Value
from nn import (
    L1,
    L2,
    LBFGS,
    MLP,
    SGD,
    Adam,
    AdamW,
    Callback,
    Checkpoint,
    Dropout,
    EarlyStopping,
    ElmanCell,
    GRUCell,
    Layer,
    Module,
    Recurrent,
    RMSProp,
    Sequential,
    cosine,
    fit,
    per_observation,
)

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(23, 2))
LINE = 1.0 + X[:, 0] - 2.0 * X[:, 1]
YES = (X[:, 0] * X[:, 1] > 0).astype(int)
KIND = YES + (X[:, 0] > 1.0)


def numbers(model):
    """The parameters as they are."""
    return np.array([parameter.data for parameter in model.parameters()])


def small(seed=0, outputs=1, activation="tanh"):
    """A network for two inputs."""
    return MLP(2, [4, outputs], activation=activation, seed=seed)


def run(make=small, loss="mean_squared_error", y=LINE, x=X, **options):
    """Train a new model; its parameters and the history."""
    model = make()
    settings = {"epochs": 3, "batch_size": 8, "seed": 1, **options}
    history = fit(model, x, y, loss, settings.pop("optimizer", None), **settings)
    return numbers(model), history


@per_observation
def quartic(output, target):
    """A loss of one's own."""
    return (output - target) ** 4


def spread(outputs, targets):
    """A loss that is not a sum over the observations."""
    errors = [target - output for output, target in zip(outputs, targets)]
    middle = am.mean(errors)
    return am.mean([(error - middle) ** 2 for error in errors]) + middle**2


def dropping():
    """A network with dropout."""
    return Sequential(Layer(2, 6, activation="tanh", seed=0), Dropout(0.3), Layer(6, 1, activation="linear", seed=1))


def tied():
    """One layer in two places."""
    shared = Layer(2, 2, activation="tanh", seed=0)
    return Sequential(shared, "tanh", shared, lambda outputs: outputs[0] - outputs[1])


CASES = {
    "plain": {},
    "all at once": {"batch_size": None},
    "batches of one": {"batch_size": 1, "epochs": 1},
    "more than there are": {"batch_size": 100},
    "in order": {"shuffle": False},
    "momentum, clipped": {"optimizer": SGD(learning_rate=0.05, momentum=0.9, nesterov=True, clip_norm=0.5)},
    "schedule": {"optimizer": AdamW(learning_rate=cosine(0.1, 20))},
    "rmsprop": {"optimizer": RMSProp(learning_rate=0.01, weight_decay=0.1)},
    "by name": {"optimizer": "adagrad"},
    "sum": {"loss": "half_sum_of_squares", "optimizer": SGD(learning_rate=0.01)},
    "huber": {"loss": nn.huber},
    "huber of another size": {"loss": functools.partial(nn.huber, delta=0.1)},
    "absolute": {"loss": "mean_absolute_error"},
    "poisson": {"loss": "poisson_with_log_rates", "y": KIND},
    "own": {"loss": quartic},
    "not a sum": {"loss": spread},
    "hinge": {"loss": "hinge", "y": 2 * YES - 1},
    "binary": {"loss": "binary_cross_entropy_with_logits", "y": YES},
    "classes": {"loss": "cross_entropy_with_logits", "y": KIND, "make": lambda: small(outputs=3)},
    "probabilities": {"loss": "cross_entropy_with_logits", "y": np.eye(3)[KIND], "make": lambda: small(outputs=3)},
    "weighted classes": {
        "loss": functools.partial(nn.cross_entropy_with_logits, class_weights=[1.0, 2.0, 3.0]),
        "y": KIND,
        "make": lambda: small(outputs=3),
    },
    "two outputs": {"y": np.stack([LINE, -LINE], axis=1), "make": lambda: small(outputs=2)},
    "sample weights": {"sample_weight": np.arange(23.0)},
    "weights of 0": {"sample_weight": [1.0] * 4 + [0.0] * 19, "batch_size": 2, "shuffle": False, "epochs": 1},
    "class weights": {"loss": "binary_cross_entropy_with_logits", "y": YES, "class_weight": {1: 5.0}},
    "l1": {"regulariser": L1(0.1)},
    "l2": {"regulariser": L2(0.1)},
    "a penalty of one's own": {"regulariser": lambda model: 0.1 * am.abs(model.layers[0].neurons[0].w[0])},
    "dropout": {"make": dropping},
    "dropout, not a sum": {"make": dropping, "loss": spread},
    "tied": {"make": tied},
    "relu": {"make": lambda: small(activation="relu")},
    "own activation": {"make": lambda: small(activation=lambda x: x / (1.0 + am.abs(x)))},
    "lbfgs": {"optimizer": "lbfgs", "batch_size": None, "epochs": 2},
    "lbfgs, penalty": {"optimizer": "lbfgs", "batch_size": None, "epochs": 1, "regulariser": L2(0.1)},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_compiled_and_eager_give_the_same_numbers(case):
    """Parameters and losses agree to 1e-9, whatever the loss, the optimiser, the model and the weights."""
    found = []
    for jit in (True, False):
        options = dict(case)
        model = options.pop("make", small)()
        if options.get("optimizer") == "lbfgs":
            options["optimizer"] = LBFGS(model.parameters(), iterations=5)
        found.append(run(lambda model=model: model, jit=jit, validation=(X[:7], options.get("y", LINE)[:7]), **options))
    (compiled, first), (eager, second) = found
    np.testing.assert_allclose(compiled, eager, rtol=1e-9, atol=1e-12)
    assert np.isfinite(compiled).all()
    for column in ("loss", "val_loss", "learning_rate"):
        np.testing.assert_allclose(first[column], second[column], rtol=1e-9)


def test_fit_is_the_loop_that_one_writes_by_hand():
    """Without shuffling: batches in order, mean loss, backward, step."""
    model = small()
    optimiser = Adam(model.parameters(), learning_rate=0.01)
    for _ in range(3):
        for start in range(0, 23, 8):
            rows = slice(start, start + 8)
            optimiser.zero_grad()
            nn.mean_squared_error([model(x) for x in X[rows].tolist()], LINE[rows].tolist()).backward()
            optimiser.step()
    np.testing.assert_allclose(numbers(model), run(shuffle=False)[0], rtol=1e-12)


class Line(Module):
    """A model of one's own in five lines."""

    def __init__(self):
        self.slope, self.offset = Value(0.0), Value(0.0)

    def __call__(self, x):
        """The height at x."""
        return self.slope * x + self.offset


@pytest.mark.parametrize("jit", [True, False])
def test_module_of_ones_own_learns_a_line(jit):
    """Inputs that are plain numbers reach the model as numbers."""
    line = Line()
    history = fit(line, [0, 1, 2, 3], [1, 3, 5, 7], "mean_squared_error", SGD(learning_rate=0.1), epochs=200, jit=jit)
    assert (2.0, 1.0) == pytest.approx((line.slope.data, line.offset.data), abs=1e-3)
    assert history["loss"][-1] < 1e-6
    np.testing.assert_allclose([1.0, 5.0], line.predict([0, 2]), atol=1e-2)


@pytest.mark.parametrize("cell", [ElmanCell, GRUCell])
def test_recurrent_networks_learn_through_time(cell):
    """The gradient through a compiled scan is the eager one, and the network learns which sign came first."""
    random = np.random.default_rng(3)
    sequences = random.normal(size=(40, 5, 1))
    first = (sequences[:, 0, 0] > 0).astype(int)

    def make():
        return Sequential(Recurrent(cell(1, 4, seed=1)), Layer(4, 1, activation="linear", seed=2))

    found = [
        run(make, "binary_cross_entropy_with_logits", first, sequences, epochs=2, batch_size=20, jit=jit)[0]
        for jit in (True, False)
    ]
    np.testing.assert_allclose(*found, rtol=1e-9)
    model = make()
    fit(model, sequences, first, "binary_cross_entropy_with_logits", Adam(learning_rate=0.05), epochs=150, seed=0)
    assert np.mean((model.predict(sequences) > 0) == first) > 0.95


def test_data_of_any_kind_give_the_same_numbers():
    """Lists, tuples, integers, float32, Fortran order, data frames and series."""
    pandas = pytest.importorskip("pandas")
    x = np.round(X * 4)
    expected = run(x=x, y=YES)[0]
    frame = pandas.DataFrame({"a": x[:, 0].astype(int), "b": x[:, 1]}, index=range(100, 123))
    for inputs, targets in [
        (x.tolist(), YES.tolist()),
        (tuple(map(tuple, x)), tuple(YES)),
        (x.astype(np.float32), YES.astype(bool)),
        (np.asfortranarray(x), YES[:, None]),
        (frame, pandas.Series(YES, index=frame.index)),
        (frame, pandas.DataFrame({"y": YES})),
    ]:
        np.testing.assert_array_equal(expected, run(x=inputs, y=targets)[0])


# ---- wrong input -----------------------------------------------------------------------------------------------------

HOLES = X.copy()
HOLES[3, 1] = math.nan


def seconds(outputs, targets):
    """A metric whose name is that of a column."""
    return 1.0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": X[:5]}, ValueError, "X has 5 rows and y has 23: each observation needs a target"),
        ({"x": HOLES}, ValueError, r"X\[3, 1\] is nan: leave out or fill in missing"),
        ({"x": [], "y": []}, ValueError, "X is empty: there is nothing to learn from"),
        ({"x": [[1.0], [1.0, 2.0]], "y": [1, 2]}, ValueError, r"the rows of X differ in length: \[1, 2\]"),
        ({"x": [["a", "b"]], "y": [1]}, TypeError, "X must hold numbers only"),
        ({"x": np.zeros((23, 2), "M8[s]")}, TypeError, r"X must hold numbers only \(it holds datetime64\[s\]\)"),
        ({"y": np.zeros(23, "m8[s]")}, TypeError, r"y must hold numbers only \(it holds timedelta64\[s\]\)"),
        ({"y": ["1.0"] * 23}, TypeError, r"y must hold numbers only \(it holds <U3\)"),
        ({"y": [10**400] * 23}, TypeError, "y must hold numbers only .*too large"),
        ({"x": X[:, 0]}, ValueError, r"not one number: pass \[x\]; of a 1-d array X, X.reshape\(-1, 1\) makes rows"),
        ({"regulariser": 0.1}, TypeError, r"a function of the model, such as L2\(0.01\), not 0.1"),
        ({"shuffle": "no"}, TypeError, "shuffle must be True or False, not 'no'"),
        ({"jit": None}, TypeError, "jit must be True or False, not None"),
        ({"y": ["no"] * 23}, TypeError, "y must hold numbers only .*encode classes as whole numbers"),
        ({"x": X[:, :1]}, ValueError, "takes a sequence of 2 inputs, not 1"),
        ({"y": np.stack([LINE, LINE], 1)}, ValueError, "differ in shape"),
        ({"loss": "mse"}, ValueError, "one of half_sum_of_squares, mean_squared_error, .*; not 'mse'"),
        ({"loss": 3}, TypeError, "loss must be a function of outputs and targets, or a name, not 3"),
        ({"optimizer": "lion"}, ValueError, "one of sgd, rmsprop, adagrad, adam, adamw; not 'lion'"),
        ({"optimizer": Adam}, TypeError, r"optimizer must be made first: Adam\(learning_rate=0.01\)"),
        ({"optimizer": 0.1}, TypeError, "optimizer must be an optimiser such as"),
        ({"epochs": 0}, ValueError, "epochs must be a whole number of at least 1, not 0"),
        ({"batch_size": 2.5}, ValueError, "batch_size must be a whole number"),
        ({"seed": "a"}, TypeError, "seed must be a whole number of at least 0, not 'a'"),
        ({"validation": 1.5}, ValueError, "validation must be .* a share between 0 and 1, not 1.5"),
        ({"validation": 0.01}, ValueError, "leaves 23 to learn from and 0 to validate with"),
        ({"validation": (X[:, :1], LINE)}, ValueError, r"the rows of X have shape \(2,\), those for validation \(1,\)"),
        ({"metrics": [lambda a, b: 1.0, lambda a, b: 2.0]}, ValueError, "is called '<lambda>', as another metric is"),
        ({"metrics": seconds}, ValueError, "is called 'seconds', as a column of the history is"),
        ({"metrics": lambda a, b: a - b}, TypeError, r"the metric <lambda> must return one number, not array\("),
        ({"optimizer": SGD(learning_rate=lambda n: -1.0)}, ValueError, "gives the learning rate -1.0 after 0 steps"),
        ({"optimizer": SGD(learning_rate=lambda n: "a")}, ValueError, "rate 'a' after 0 steps: it must be at least 0"),
        ({"optimizer": SGD(learning_rate=lambda n: math.nan), "jit": False}, ValueError, "the learning rate nan after"),
        ({"metrics": "f1"}, ValueError, "one of accuracy, r2, mean_absolute_error; not 'f1'"),
        ({"sample_weight": [1.0]}, ValueError, "sample_weight must be 23 numbers"),
        ({"sample_weight": [-1.0] * 23}, ValueError, r"sample_weight\[0\] is -1.0: a weight is at least 0"),
        ({"sample_weight": [0.0] * 23}, ValueError, "is 0 for every observation"),
        ({"sample_weight": [1.0] * 23, "loss": spread}, TypeError, "spread takes no weights"),
        (
            {"sample_weight": np.eye(23)[0], "validation": 0.3},
            ValueError,
            "all observations to .* have the weight 0, as validation=0.3 chose them",
        ),
        (
            {"loss": lambda outputs, targets: 1.0},
            TypeError,
            "must depend on the parameters of the model, .* number 1.0",
        ),
        ({"class_weight": {1: 2.0}}, ValueError, "class_weight needs one class, a whole number"),
        ({"class_weight": {7: 2.0}, "y": YES}, ValueError, r"names the class 7, which is not in y: \[0.0, 1.0\]"),
        ({"callbacks": [EarlyStopping]}, TypeError, r"make one, EarlyStopping\(...\)"),
        ({"callbacks": [3]}, TypeError, "a callback must be .* not 3"),
        ({"loss": "binary_cross_entropy_with_logits", "y": KIND}, ValueError, "a probability from 0 to 1, not 2.0"),
        ({"loss": "hinge", "y": YES}, ValueError, r"pass 2 \* label - 1"),
        ({"loss": "cross_entropy_with_logits", "y": KIND + 9}, ValueError, "logits must be rows"),
        ({"optimizer": SGD(MLP(2, [1]).parameters())}, ValueError, "SGD was made with other parameters than the model"),
        ({"x": X + 1j}, TypeError, "X holds complex numbers"),
        ({"make": lambda: Sequential("tanh")}, ValueError, "nothing to train in Sequential of"),
        ({"make": lambda: MLP}, TypeError, r"the model must be made first, MLP\(...\)"),
        ({"make": lambda: abs}, TypeError, "the model must be a nn.Module, not <built-in"),
        ({"resume": "nowhere.safetensors"}, FileNotFoundError, "nowhere"),
        ({"callbacks": Checkpoint("no/such/folder/x")}, FileNotFoundError, "there is no folder"),
        ({"callbacks": EarlyStopping(3, "val_loss")}, ValueError, "'val_loss', which is not in the history: loss"),
    ],
)
def test_wrong_input_is_named(change, error, message):
    """Each error names what was wrong and what to pass."""
    options = {"x": X, "y": LINE, **change}
    with pytest.raises(error, match=message):
        run(**options)


@pytest.mark.parametrize("options", [{}, {"jit": False}, {"optimizer": "lbfgs"}, {"loss": spread}, {"many": 20}])
def test_values_that_are_no_parameters_are_refused(options):
    """A Value that is outside the model would not be trained; its number may be read, and predictions are numbers."""
    outside = Value(2.0, label="scale")
    many = options.pop("many", 1)

    class Scaled(nn.Module):
        def __init__(self):
            self.w = Value(0.5)
            self.exact = True

        def __call__(self, x):
            return self.w * x[0] * (outside if self.exact else outside.data)

    model = Scaled()
    np.testing.assert_array_equal(X[:, 0], model.predict(X))
    if options.get("optimizer") == "lbfgs":
        options = {"optimizer": nn.LBFGS(model.parameters())}
    options = {"batch_size": None, "epochs": 1, "progress": False, "loss": "mean_squared_error", **options}
    with pytest.raises(TypeError, match=r"reads the leaf scale=2\.0, which is no parameter of the model: make it an"):
        fit(model, np.tile(X, (many, 1)), np.tile(LINE, many), **options)
    assert (0.5, 0.0) == (model.w.data, outside.grad)
    model.exact = False
    fit(model, X, LINE, **options)
    assert (True, 0.0) == (model.w.data != 0.5, outside.grad)


class Centred(nn.Module):
    """A model that keeps a running mean of its inputs."""

    def __init__(self):
        self.w, self.mean, self.last = Value(1.0), 0.0, None

    def __call__(self, x):
        """The distance from the mean."""
        self.mean = 0.9 * self.mean + 0.1 * x[0]
        self.last = self.w * (x[0] - self.mean)
        return self.last


class Recalling(nn.Module):
    """A model that starts from its last output."""

    def __init__(self, first=0.0):
        self.inner = Line()
        self.inner.slope.data, self.inner.before = 1.0, first

    def __call__(self, x):
        """The next state."""
        self.inner.before = am.tanh(self.inner(x[0]) + self.inner.before)
        return self.inner.before


def test_models_that_remember_are_not_compiled():
    """The change would be lost in silence, as all rows are computed from one model; without jit it is kept."""
    for model, name in [(Centred(), "last, mean"), (Recalling(), "inner.before")]:
        message = f"a call of the model changes {name}: .* pass jit=False"
        with pytest.raises(TypeError, match=message):
            fit(model, X, LINE, "mean_squared_error", epochs=1, seed=0)
        with pytest.raises(TypeError, match=message):
            model.predict(X)
    model, mean = Centred(), 0.0
    fit(model, X, LINE, "mean_squared_error", epochs=1, seed=0, shuffle=False, jit=False)
    for x in X[:, 0]:
        mean = 0.9 * mean + 0.1 * x
    assert mean == model.mean


def test_a_parameter_that_a_call_replaces_is_named():
    """It would be trained, and each call would overwrite it."""
    with pytest.raises(TypeError, match=r"puts a number of its own into inner.before, which holds a parameter"):
        fit(Recalling(Value(0.0)), X, LINE, "mean_squared_error", epochs=1, seed=0)
    model = Recalling()
    model([1.0])
    with pytest.raises(ValueError, match=r"model.inner.before holds the computed node tanh\(.*to None before training"):
        fit(model, X, LINE, "mean_squared_error", epochs=1, seed=0)


def test_an_attribute_that_each_call_sets_anew_is_no_memory():
    """Nothing depends on it. Training leaves it as it is, and it becomes no parameter."""

    class Noting(Line):
        def __init__(self):
            super().__init__()
            self.last = None

        def __call__(self, x):
            self.last = [super().__call__(x[0]), x]
            return self.last[0]

    model = Noting()
    fit(model, X, LINE, "mean_squared_error", epochs=1, seed=0)
    assert model.last is None
    assert ["slope", "offset"] == [name for name, _ in model.named_parameters()]


def test_data_that_change_during_training_do_not_count():
    """The data are those that were given."""
    x = X.copy()

    def spoil(training):
        x[:] = 1e9

    np.testing.assert_array_equal(run()[0], run(x=x, callbacks=spoil)[0])


def test_what_a_callback_does_to_the_model_counts():
    """Other activations, other numbers: compiled as on the graph. Other parameters are refused."""

    def change(training):
        if training.epoch == 2:
            training.model.layers[0].neurons[1].activation = am.sin
        training.model.layers[0].neurons[0].w[0].data = 0.25

    changed = [run(epochs=4, callbacks=change, jit=jit)[0] for jit in (True, False)]
    np.testing.assert_allclose(*changed, rtol=1e-9)
    assert 0.25 == changed[0][0]

    def grow(training):
        training.model.layers.append(Layer(1, 1, seed=0))

    def replace(training):
        training.model.layers[0].neurons[0].b = Value(1.0)

    for wrong in (grow, replace):
        for jit in (True, False):
            with pytest.raises(ValueError, match="a callback changed which parameters the model has"):
                run(callbacks=wrong, jit=jit)


def test_threads_train_models_of_one_structure_at_once():
    """They share compiled code and nothing else."""
    found = {}
    threads = [threading.Thread(target=lambda seed=seed: found.update({seed: run(seed=seed)[0]})) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(4):
        np.testing.assert_array_equal(run(seed=seed)[0], found[seed])


def test_large_batches_stay_in_their_arrays():
    """More than 256 rows: the same numbers as on the graph, with a last batch of another size and a penalty."""
    random = np.random.default_rng(1)
    x = random.normal(size=(700, 2))
    options = {"x": x, "y": x[:, 0], "batch_size": 300, "epochs": 2, "regulariser": L2(0.01)}
    np.testing.assert_allclose(run(**options)[0], run(**options, jit=False)[0], rtol=1e-9)


def test_methods_of_kerass_callbacks() -> None:
    """A method that would never be called is an error that names the one that is."""
    with pytest.raises(TypeError, match=r"Tell.on_epoch_end would never be called: here .* after_epoch\(training\)"):

        class Tell(Callback):
            def on_epoch_end(self, epoch: int, logs: object = None) -> None:
                """As in Keras."""
