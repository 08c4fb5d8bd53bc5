"""Between the epochs of `fit`: early stopping, checkpoints, interruptions, divergence, progress and history."""

import math
import os
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

import autograd.math as am
from autograd import Value
from nn import (
    L2,
    LBFGS,
    MLP,
    SGD,
    Adam,
    Callback,
    Checkpoint,
    DivergedError,
    Dropout,
    EarlyStopping,
    History,
    Layer,
    Module,
    Sequential,
    cosine,
    fit,
    load,
    save,
)

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(20, 2))
Y = 1.0 + X[:, 0] - 2.0 * X[:, 1]
WITHOUT_TIMES = ("loss", "val_loss", "learning_rate")


def small(seed=0):
    """A network for two inputs."""
    return MLP(2, [4, 1], activation="tanh", seed=seed)


def dropping():
    """A network with dropout."""
    return Sequential(Layer(2, 6, activation="tanh", seed=0), Dropout(0.3), Layer(6, 1, activation="linear", seed=1))


def numbers(model):
    """The parameters as they are."""
    return [parameter.data for parameter in model.parameters()]


def train(model, **options):
    """Train a model with settings that are the same in all tests."""
    settings = {"epochs": 5, "batch_size": 8, "seed": 1, "validation": (X[:5], Y[:5]), **options}
    return fit(model, X, Y, "mean_squared_error", settings.pop("optimizer", None), **settings)


def columns(history):
    """What is the same in two runs."""
    return {name: history.columns[name] for name in WITHOUT_TIMES}


# ---- callbacks -------------------------------------------------------------------------------------------------------


def test_functions_and_callbacks_see_the_training():
    """They are called in order, with the numbers of that moment in the model's Values."""
    seen = []

    class Notes(Callback):
        def before(self, training):
            seen.append(("before", training.epoch, numbers(training.model)))

        def after_epoch(self, training):
            seen.append(("epoch", training.epoch, numbers(training.model)))

        def after(self, training):
            seen.append(("after", training.epoch, numbers(training.model)))

    model = small()
    start = numbers(model)
    losses = []
    history = train(model, epochs=2, callbacks=[Notes(), lambda training: losses.append(training.history["loss"][-1])])
    assert [("before", 0), ("epoch", 1), ("epoch", 2), ("after", 2)] == [(name, epoch) for name, epoch, _ in seen]
    assert start == seen[0][2]
    assert seen[1][2] != seen[2][2]
    assert numbers(model) == seen[2][2] == seen[3][2]
    assert losses == history["loss"]


def test_callbacks_may_stop_and_change_the_rate():
    """`stop` ends the run after that epoch; an assigned rate holds from the next step on."""

    def slower(training):
        training.optimizer.learning_rate /= 2
        if training.epoch == 3:
            training.stop("enough")

    history = train(small(), epochs=10, callbacks=slower, optimizer=SGD(learning_rate=0.08))
    assert [0.08, 0.04, 0.02] == history["learning_rate"]
    assert "enough" == history.stopped
    assert repr(history).endswith("stopped: enough")


@pytest.mark.parametrize("jit", [True, False])
def test_early_stopping_puts_back_the_best_parameters(jit):
    """The validation loss of the model afterwards is the smallest of the history."""
    model = small()
    history = train(
        model, epochs=200, callbacks=EarlyStopping(5), optimizer=SGD(learning_rate=0.3, momentum=0.9), jit=jit
    )
    best = int(np.argmin(history["val_loss"])) + 1
    assert len(history) == best + 5 < 200
    assert best == history.best_epoch
    assert "val_loss has not improved for 5 epochs" == history.stopped
    loss = np.mean((model.predict(X[:5]) - Y[:5]) ** 2)
    assert min(history["val_loss"]) == pytest.approx(loss, rel=1e-12)


def test_early_stopping_knows_which_way_is_better():
    """Accuracies are to grow, losses to shrink, and `least` says by how much."""
    yes = (Y > 0).astype(int)
    options = {"validation": (X, yes), "epochs": 60, "seed": 0}
    callback = EarlyStopping(4, "val_accuracy", least=0.01)
    history = fit(small(), X, yes, "binary_cross_entropy_with_logits", callbacks=callback, **options)
    assert history.stopped == "val_accuracy has not improved for 4 epochs"
    assert history["val_accuracy"][history.best_epoch - 1] >= max(history["val_accuracy"]) - 0.01


# ---- checkpoints -----------------------------------------------------------------------------------------------------

CASES = {
    "adam": {},
    "momentum and schedule": {"optimizer": SGD(learning_rate=cosine(0.1, 30), momentum=0.9)},
    "dropout": {"make": dropping},
    "eager": {"jit": False},
    "early stopping": {"callbacks": [EarlyStopping(3, least=0.05)], "epochs": 40},
    "no seed": {"seed": None},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_continued_run_is_the_run_that_was_not_interrupted(case, tmp_path):
    """Parameters, history and random numbers are the same to the last bit, from a new model and a new optimiser."""
    options = {"epochs": 7, **case}
    make, callbacks = options.pop("make", small), options.pop("callbacks", [])
    path = tmp_path / "run.safetensors"

    def stop(training):
        if training.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(make(), **options, callbacks=[*callbacks, Checkpoint(path), stop])
    if options.get("seed", 1) is None:
        after_three = path.read_bytes()
        whole = make()
        expected = train(whole, **options, callbacks=callbacks, resume=path)
        path.write_bytes(after_three)
    else:
        whole = make()
        expected = train(whole, **options, callbacks=callbacks)
    model = make()
    model.parameters()[0].data = 17.0
    history = train(model, **options, callbacks=callbacks, resume=path)
    assert numbers(whole) == numbers(model)
    assert columns(expected) == columns(history)
    assert (expected.stopped, expected.best_epoch) == (history.stopped, history.best_epoch)


def test_a_complete_run_is_not_continued(tmp_path):
    """Resuming a file of the last epoch changes nothing; more epochs go on from there."""
    path = tmp_path / "run"
    model = small()
    history = train(model, callbacks=Checkpoint(path, every=2))
    again = small(seed=3)
    assert columns(history) == columns(train(again, resume=path))
    assert numbers(model) == numbers(again)
    assert 8 == len(train(again, resume=path, epochs=8))


def test_a_changed_learning_rate_is_continued(tmp_path):
    """What a callback assigned to the optimiser is in the checkpoint."""
    path = tmp_path / "run"

    def slower(training):
        training.optimizer.learning_rate *= 0.5

    whole = train(small(), epochs=4, callbacks=slower, optimizer=Adam(learning_rate=0.1))
    train(small(), epochs=2, callbacks=[slower, Checkpoint(path)], optimizer=Adam(learning_rate=0.1))
    history = train(small(), epochs=4, callbacks=slower, optimizer=Adam(learning_rate=0.1), resume=path)
    assert columns(whole) == columns(history)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": SGD()}, "another run: optimizer is Adam.* there and SGD.* here"),
        (
            {"optimizer": Adam(betas=(0.5, 0.9))},
            r"optimizer is Adam\(betas=\(0.9, 0.999\), .* there and Adam\(betas=\(0.5",
        ),
        ({"batch_size": 4}, "batch_size is 8 there and 4 here"),
        ({"seed": 2}, "seed is 1 there and 2 here"),
        ({"shuffle": False}, "shuffle is True there and False here"),
        ({"regulariser": L2(0.125)}, r"regulariser is None there and L2\(0.125\) here"),
    ],
)
def test_another_run_is_not_continued(change, message, tmp_path):
    """The message says where the two differ."""
    path = tmp_path / "run"
    train(small(), epochs=1, callbacks=Checkpoint(path))
    with pytest.raises(ValueError, match=message):
        train(small(), resume=path, **change)


def test_other_models_data_and_files_are_refused(tmp_path):
    """A checkpoint fits one architecture and one data set; other files are named."""
    path = tmp_path / "run"
    train(small(), epochs=1, callbacks=Checkpoint(path))
    with pytest.raises(ValueError, match=r"is a checkpoint of fit, .*: pass it as fit\(..., resume=path\)"):
        load(path)
    with pytest.raises(ValueError, match="of another model"):
        train(MLP(2, [5, 1], activation="tanh"), resume=path)
    with pytest.raises(ValueError, match=r"of another run: X is \(20, 2\)"):
        fit(small(), X + 1, Y, "mean_squared_error", batch_size=8, resume=path)
    save(small(), path)
    with pytest.raises(ValueError, match="is not a checkpoint of this version of fit"):
        train(small(), resume=path)
    path.write_bytes(b"not numbers")
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        train(small(), resume=path)


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    """The file is replaced as a whole: an error while writing leaves what was there, and no other file."""
    path = tmp_path / "run"
    train(small(), epochs=1, callbacks=Checkpoint(path))
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space left"):
        train(small(), epochs=2, callbacks=Checkpoint(path), resume=path)
    assert before == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


SCRIPT = """
    import signal
    import sys
    import numpy as np
    from nn import MLP, Checkpoint, fit
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background begins without it
    x = np.random.default_rng(0).normal(size=(50, 2))
    model = MLP(2, [8, 1], activation="tanh", seed=0)
    def say(training):
        print(training.epoch, flush=True)
    fit(model, x, x[:, 0], "mean_squared_error", epochs=100_000, seed=0, callbacks=[Checkpoint(sys.argv[1]), say])
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_leaves_a_whole_checkpoint(how, tmp_path):
    """Killed at any moment: the file is complete, and the run can be continued."""
    path = tmp_path / "run"
    arguments = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(path)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(25):
            assert process.stdout.readline()
        process.send_signal(how)
        process.communicate(timeout=60)
    finally:
        process.kill()
    x = np.random.default_rng(0).normal(size=(50, 2))

    def run(epochs, **options):
        model = MLP(2, [8, 1], activation="tanh", seed=0)
        history = fit(model, x, x[:, 0], "mean_squared_error", epochs=epochs, seed=0, **options)
        return numbers(model), history

    continued = run(1, resume=path)[1]
    epochs = len(continued)
    assert epochs >= 24
    model, history = run(epochs + 3, resume=path)
    expected, whole = run(epochs + 3)
    assert expected == model
    assert whole["loss"] == history["loss"]


# ---- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jit", [True, False])
def test_divergence_names_where_and_keeps_the_last_good_parameters(jit):
    """The error has epoch, batch, layer and advice; the loss of the model is finite."""
    model = MLP(2, [4, 1], activation="relu", seed=0)
    with pytest.raises(DivergedError, match=r"the loss is (inf|nan) in epoch \d+, batch \d+. It begins in ") as caught:
        train(model, optimizer=SGD(learning_rate=1e6), epochs=100, jit=jit)
    error = caught.value
    assert f"epoch {error.epoch}, batch {error.batch}" in str(error)
    assert error.layer.startswith(("layers[0]", "layers[1]", "the loss"))
    assert "use a smaller learning rate (it is 1e+06)" in str(error)
    assert "clip_norm=1.0" in str(error)
    assert len(error.history) == error.epoch - 1
    assert all(map(math.isfinite, numbers(model)))
    assert np.isfinite(model.predict(X)).all()


def test_divergence_finds_the_layer():
    """A logarithm of a negative number in the second of three parts is found there."""

    class Log(Module):
        def __init__(self):
            self.factor = Value(1.0)

        def __call__(self, outputs):
            return [am.log(self.factor * x) for x in outputs]

    class Model(Module):
        def __init__(self):
            self.first, self.second = Layer(2, 2, activation="linear", seed=0), Log()
            self.third = Layer(2, 1, activation="linear", seed=1)

        def __call__(self, x):
            return self.third(self.second(self.first(x)))

    with pytest.raises(DivergedError, match=r"epoch 1, batch 1. It begins in second, where .* is nan") as caught:
        train(Model(), validation=None)
    assert (1, 1) == (caught.value.epoch, caught.value.batch)


def test_divergence_in_the_loss_is_no_layers():
    """An error that overflows when it is squared: the outputs are finite, and the targets too large."""
    with pytest.raises(DivergedError, match=r"begins in the loss, where pow\(.* targets scaled .* is 1e\+200\)"):
        fit(small(), X, np.full(20, 1e200), "mean_squared_error", epochs=1, seed=0)


def test_gradients_that_are_not_finite_are_found():
    """The loss of the next step would be nan; the advice names inputs that are too large."""

    class Root(Module):
        def __init__(self):
            self.w = Value(0.0)

        def __call__(self, x):
            return am.sqrt(self.w * x)

    model = Root()
    with pytest.raises(DivergedError, match=r"inputs scaled to about -1 to 1 \(the largest is 100\)"):
        fit(model, [100.0, 50.0], [1.0, 1.0], "mean_squared_error", SGD(learning_rate=0.1), epochs=9, seed=0)
    assert 0.0 == model.w.data


def test_an_interrupted_run_leaves_the_numbers_of_the_last_step():
    """An exception in a callback passes through, and the model has what was learned until then."""
    model, expected = small(), small()

    def fail(training):
        if training.epoch == 2:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        train(model, callbacks=fail)
    train(expected, epochs=2)
    assert numbers(expected) == numbers(model)


def test_lbfgs_wants_all_data_and_the_same_parameters():
    """Both are named."""
    model = small()
    with pytest.raises(ValueError, match="LBFGS needs all data in every step: pass batch_size=None"):
        train(model, optimizer=LBFGS(model.parameters()))
    with pytest.raises(ValueError, match="LBFGS was made with other parameters"):
        train(model, optimizer=LBFGS(small().parameters()), batch_size=None)


# ---- progress and history --------------------------------------------------------------------------------------------


def test_nothing_is_shown_where_output_is_piped(capfd):
    """A log file stays empty, and so does a notebook that asks for it."""
    train(small())
    assert ("", "") == capfd.readouterr()


def test_a_terminal_shows_loss_metric_and_rate(capsys, monkeypatch):
    """The bar counts batches and has the numbers of the last epoch. It leaves no thread behind."""
    pytest.importorskip("tqdm")
    before = threading.active_count()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    train(small(), epochs=3, metrics="r2")
    shown = capsys.readouterr().err
    assert "epoch 3 of 3: 100%" in shown
    assert "9/9" in shown
    assert all(f"{name}=" in shown for name in ("loss", "val_loss", "val_r2", "rate"))
    assert before == threading.active_count()
    train(small(), epochs=3, progress=False)
    assert "" == capsys.readouterr().err


def test_history_is_a_frame_and_a_picture():
    """One row for each epoch; two panels if there are metrics; a notebook gets a picture."""
    pytest.importorskip("matplotlib")
    pandas = pytest.importorskip("pandas")
    history = train(small(), metrics=["r2", "mean_absolute_error"])
    frame = history.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert [1, 2, 3, 4, 5] == frame.index.tolist()
    names = ["loss", "val_loss", "val_r2", "val_mean_absolute_error", "learning_rate", "seconds"]
    assert names == list(frame.columns)
    figure = history.plot()
    assert ["val r2", "val mean absolute error"] == [line.get_label() for line in figure.axes[1].lines]
    assert b"\x89PNG" == figure._repr_png_()[:4]
    assert 1 == len(train(small()).plot().axes)


def test_metrics_are_their_formulas():
    """On the training data if there are no others; functions of arrays get arrays."""
    model = small()

    def largest(outputs, targets):
        return np.max(np.abs(outputs - targets))

    history = train(model, validation=None, metrics=["r2", "mean_absolute_error", largest])
    errors = model.predict(X) - Y
    expected = 1 - np.mean(errors**2) / np.var(Y), np.mean(np.abs(errors)), np.max(np.abs(errors))
    assert expected == pytest.approx([history[name][-1] for name in ("r2", "mean_absolute_error", "largest")])


def test_empty_history_says_so():
    """There is nothing to plot, and columns that are missing are named."""
    with pytest.raises(ValueError, match="nothing to plot"):
        History().plot()
    with pytest.raises(KeyError, match="no column 'val_loss'; it has loss"):
        train(small(), validation=None)["val_loss"]


def test_a_share_for_validation_is_held_out():
    """The same seed chooses the same observations, and they are not learned from."""
    first, second, other = [train(small(), validation=0.25, seed=seed) for seed in (1, 1, 2)]
    assert columns(first) == columns(second)
    assert first["val_loss"] != other["val_loss"]
