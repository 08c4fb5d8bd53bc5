"""Saved modules: the arrays of a state, files that come back exactly, and files that must be refused."""

import json
import math
import os
import struct
import threading

import numpy as np
import pytest
import safetensors.numpy

import autograd.math as am
import nn
from autograd import Value, rules
from nn import MLP, Layer, Module, Neuron, load, load_state_dict, save, state_dict
from nn.architecture import build, count, describe, difference


class Line(Module):
    """A module of a user."""

    def __init__(self, slope=2.0, power=1):
        self.slope, self.offset, self.power = Value(slope), Value(1.0), power

    def __call__(self, x):
        """slope · x^power + offset."""
        return self.slope * x**self.power + self.offset


class Holder(Module):
    """Whatever a test puts into it."""

    def __init__(self, **held):
        vars(self).update(held)


@pytest.fixture
def file(tmp_path):
    """A path for one file."""
    return tmp_path / "model.safetensors"


def numbers(module):
    """All parameters of a module."""
    return [parameter.data for parameter in module.parameters()]


# ---- the state --------------------------------------------------------------------------------------------------


def test_neurons_are_the_rows_of_a_matrix():
    """Element [i, j] is the weight of the same path."""
    model = MLP(3, [4, 2], seed=1)
    state = state_dict(model)
    assert {"layers[0].neurons.w": (4, 3), "layers[0].neurons.b": (4,), "layers[1].neurons.w": (2, 4),
            "layers[1].neurons.b": (2,)} == {name: array.shape for name, array in state.items()}  # fmt: skip
    assert model.layers[0].neurons[3].w[1].data == state["layers[0].neurons.w"][3, 1]
    assert len(model.parameters()) == sum(array.size for array in state.values())


def test_state_is_a_copy():
    """Changing the arrays or the module leaves the other as it was."""
    line = Line()
    state = state_dict(line)
    line.slope.data = 7.0
    assert 2.0 == state["slope"]
    load_state_dict(line, state)
    state["slope"][...] = 9.0
    assert 2.0 == line.slope.data


@pytest.mark.parametrize(
    ("held", "shapes"),
    [
        ({"a": Value(1.0)}, {"a": ()}),
        ({"a": [Value(1.0)] * 2}, {"a": (2,)}),
        ({"a": ((Value(1.0), Value(2.0)), (Value(3.0), Value(4.0)))}, {"a": (2, 2)}),
        ({"a": [[Value(1.0)], [Value(2.0), Value(3.0)]]}, {"a[0]": (1,), "a[1]": (2,)}),
        ({"a": {"x": Value(1.0), "y": [Value(2.0)]}}, {"a['x']": (), "a['y']": (1,)}),
        ({"a": np.array([[Value(1.0), Value(2.0)]])}, {"a": (1, 2)}),
        ({"a": [Value(1.0), am.tanh, 0.5]}, {"a[0]": ()}),
        ({"a": [Line(), Line()]}, {"a[0].slope": (), "a[0].offset": (), "a[1].slope": (), "a[1].offset": ()}),
        ({"a": [Neuron(2), Neuron(3)]}, {"a[0].w": (2,), "a[0].b": (), "a[1].w": (3,), "a[1].b": ()}),
        ({"a": 3, "b": "text", "c": np.ones(2), "d": []}, {}),
    ],
    ids=["one", "list", "tuples", "ragged", "dict", "array", "mixed", "modules", "neurons", "none"],
)
def test_each_attribute_is_one_array(held, shapes):
    """Rectangular containers of parameters are one array; others are taken apart."""
    assert shapes == {name: array.shape for name, array in state_dict(Holder(**held)).items()}


def test_module_that_refers_to_its_parent():
    """A cycle among modules ends."""
    child = Line()
    parent = Holder(child=child)
    child.parent = parent
    assert {"child.slope", "child.offset"} == set(state_dict(parent))


def test_lists_do_for_arrays():
    """Nested lists, integers and float32 are numbers as well."""
    model = MLP(2, [1])
    state = {"layers[0].neurons.w": [[1, 2]], "layers[0].neurons.b": np.array([0.5], dtype=np.float32)}
    load_state_dict(model, state)
    assert [1.0, 2.0, 0.5] == numbers(model)


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ({"slope": 1.0}, ValueError, r"missing: 'offset'"),
        ({"slope": 1.0, "offset": 2.0, "x": 3.0}, ValueError, r"unknown: 'x'"),
        ({"slope": [1.0], "offset": 2.0}, ValueError, r"'slope' has the shape \(1,\) in the state and \(\) in the"),
        ({"slope": 5.0, "offset": "2"}, TypeError, r"'offset' must be an array of real numbers, not '2'"),
        ({"slope": 5.0, "offset": 2j}, TypeError, r"'offset' must be an array of real numbers, not 2j"),
        ([1.0, 2.0], TypeError, r"a state is a dict of arrays"),
    ],
)
def test_wrong_states_change_nothing(state, error, message):
    """An error names what is wrong, and the module keeps its numbers."""
    line = Line()
    with pytest.raises(error, match=message):
        load_state_dict(line, state)
    assert [2.0, 1.0] == numbers(line)


def test_long_lists_of_names_are_shortened():
    """A state of something else does not fill the screen."""
    with pytest.raises(ValueError, match=r"missing: .* and 2 more; unknown: 'a'"):
        load_state_dict(MLP(1, [1, 1, 1]), {"a": 1.0})


def test_a_shared_parameter_has_one_number():
    """Both places are in the state; they must agree when it is loaded, and nan agrees with nan."""
    shared = Value(3.0)
    holder = Holder(a=shared, b=[shared, Value(1.0)])
    state = state_dict(holder)
    assert 3.0 == state["a"] == state["b"][0]
    with pytest.raises(ValueError, match=r"'b' and 'a' share a parameter here, but have 3.0 and 4.0"):
        load_state_dict(holder, {**state, "a": 4.0})
    load_state_dict(holder, {"a": math.nan, "b": [math.nan, 1.0]})
    assert math.isnan(shared.data)


def test_computed_nodes_cannot_be_loaded():
    """A node's number follows from its operands."""
    holder = Holder(a=Value(1.0) + 1.0)
    with pytest.raises(ValueError, match=r"'a' holds the computed node .*only a leaf"):
        load_state_dict(holder, {"a": 1.0})


def test_only_modules_have_a_state():
    """A list of parameters has no names."""
    with pytest.raises(TypeError, match=r"expected an nn.Module, not \[Value"):
        state_dict([Value(1.0)])


def test_a_method_may_not_hide_behind_an_equal_path():
    """Two keys with the same text would be one array."""

    class Odd(str):
        def __repr__(self):
            return "'x'"

    with pytest.raises(ValueError, match=r"two attributes have the path \"a\['x'\]\""):
        state_dict(Holder(a={Odd("x"): Value(1.0), Odd("y"): [Value(2.0)]}))


# ---- files ------------------------------------------------------------------------------------------------------


MODELS = {
    "mlp": lambda: MLP(2, [3, 1], activation=["tanh", "sigmoid"], seed=1),
    "equal layers": lambda: MLP(3, [3, 3, 3], activation="relu", seed=2),
    "function": lambda: MLP(2, [2], activation=[am.softplus], seed=3),
    "sequential": lambda: nn.Sequential(Layer(2, 3, seed=1), "tanh", nn.Dropout(0.5), MLP(3, [2], seed=2), am.sum),
    "recurrent": lambda: nn.Sequential(nn.Recurrent(nn.GRUCell(1, 2, seed=1)), Layer(2, 1, seed=2)),
    "every state": lambda: nn.Recurrent(nn.ElmanCell(1, 2, seed=1), every=True),
    "twice the same layer": lambda: nn.Sequential(*[Layer(2, 2, seed=1)] * 2),
    "neuron": lambda: Neuron(5, activation="silu", seed=4),
    "layer": lambda: Layer(1, 4, activation="gelu", seed=5),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_modules_of_this_package_come_back_from_the_file_alone(make, file):
    """The same numbers, classes, labels and outputs."""
    model = make()
    save(model, file)
    again = load(file)
    assert type(again) is type(model)
    assert repr(model) == repr(again)
    assert [(name, p.data) for name, p in model.named_parameters()] == [
        (n, p.data) for n, p in again.named_parameters()
    ]
    assert [p.label for p in model.parameters()] == [p.label for p in again.parameters()]
    x = inputs(model)
    assert values(model(x)) == values(again(x))


def inputs(model):
    """An observation for a model."""
    if isinstance(model, nn.Recurrent):
        return [[0.5], [-1.0], [0.25]]
    while not isinstance(model, Neuron):
        model = getattr(model, {"MLP": "layers", "Layer": "neurons"}.get(type(model).__name__, "parts"))[0]
        if isinstance(model, nn.Recurrent):
            return inputs(model)
    return [0.5, -1.0, 2.0, 0.25, -3.0][: len(model.w)]


def values(output):
    """The numbers of one or several outputs, or of rows of them."""
    return [x for y in output for x in values(y)] if isinstance(output, list) else [output.data]


def test_every_number_comes_back_with_its_bits(file):
    """Infinities, nan, the smallest number and a negative zero."""
    special = [math.inf, -math.inf, math.nan, 5e-324, -0.0, 1.7976931348623157e308, 0.1]
    save(Holder(a=[Value(x) for x in special]), file)
    again = load(file, Holder(a=[Value(0.0) for _ in special]))
    assert [struct.pack("d", x) for x in special] == [struct.pack("d", x) for x in numbers(again)]


def test_a_module_of_the_user_is_given(file):
    """It gets the numbers, and is returned."""
    save(Line(5.0), file)
    line = Line()
    assert line is load(file, line)
    assert [5.0, 1.0] == numbers(line)


def test_a_module_of_the_user_must_be_given(file):
    """The file does not say what code to run."""
    save(Line(5.0), file)
    with pytest.raises(
        ValueError, match=r"only your code can make \(model is a Line\): make one and pass it as load\("
    ):
        load(file)


def test_a_function_of_the_user_must_be_given(file):
    """A function has no code in the file."""
    save(MLP(1, [1], activation=[lambda x: x * x]), file)
    with pytest.raises(ValueError, match=r"model.layers\[0\].neurons\[0\].activation is .*<lambda>"):
        load(file)


def test_sharing_is_part_of_the_architecture(file):
    """Shared parameters come back shared, and do not go into a module that does not share them."""
    layer = Layer(1, 1, seed=1)
    save(Holder(a=layer, b=[layer, layer.neurons[0].b]), file)
    twin = Layer(1, 1, seed=2)
    again = load(file, Holder(a=twin, b=[twin, twin.neurons[0].b]))
    assert numbers(layer) == numbers(again)
    with pytest.raises(ValueError, match=r"model.b\[0\] is what model.a is there and nn.Layer here"):
        load(file, Holder(a=Layer(1, 1), b=[Layer(1, 1), Value(0.0)]))


def test_sharing_is_rebuilt():
    """A description with a module and a parameter in several places gives one object for each."""
    model = MLP(2, [2, 2], seed=1)
    model.layers[1] = model.layers[0]
    again = build(json.loads(json.dumps(describe(model))), {"nn.MLP": MLP, "nn.Layer": Layer, "nn.Neuron": Neuron})
    assert again.layers[0] is again.layers[1]
    assert 6 == len(again.parameters()) == count(describe(model))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: MLP(2, [4, 1], "tanh"), r"model.layers\[0\].neurons is a list of 3 there and a list of 4 here"),
        (lambda: MLP(3, [3, 1], "tanh"), r"model.layers\[0\].neurons\[0\].w is a list of 2 there and a list of 3 here"),
        (lambda: MLP(2, [3, 1]), r"model.layers\[0\].neurons\[0\].kind is 'tanh' there and 'relu' here"),
        (lambda: MLP(2, [3, 1, 1], "tanh"), r"model.layers is a list of 2 there and a list of 3 here"),
        (lambda: Layer(2, 3), r"model is nn.MLP there and nn.Layer here"),
        (lambda: Line(), r"model is nn.MLP there and Line here"),
    ],
)
def test_another_architecture_is_refused(other, message, file):
    """The message says where the two differ; the given module keeps its numbers."""
    save(MLP(2, [3, 1], "tanh", seed=1), file)
    module = other()
    before = numbers(module)
    with pytest.raises(ValueError, match=message):
        load(file, module)
    assert before == numbers(module)


@pytest.mark.parametrize(
    ("one", "other", "place"),
    [
        (Line(power=1), Line(power=2), "model.power"),
        (Holder(a=np.array([1.0, 2.0])), Holder(a=np.array([1.0, 3.0])), "model.a"),
        (Holder(a=np.array([1.0, 2.0])), Holder(a=np.array([1.0, 2.0], dtype=np.float32)), "model.a"),
        (Holder(a=am.tanh), Holder(a=am.sin), "model.a"),
        (Holder(a=rules.relu), Holder(a="relu"), "model.a"),
        (Holder(a={"x": 1}), Holder(a={"x": 2}), "model.a['x']"),
        (Holder(a=(1, 2)), Holder(a=(1, 3)), "model.a[1]"),
        (Holder(a=(1, 2)), Holder(a=[1, 2]), "model.a"),
        (Holder(a=True), Holder(a=1), "model.a"),
        (Holder(a=1), Holder(a=1.0), "model.a"),
        (Holder(a=0.0), Holder(a=-0.0), "model.a"),
        (Holder(), Holder(a=1), "model.a"),
    ],
)
def test_settings_are_part_of_the_architecture(one, other, place):
    """A number that is not trained changes the function as well."""
    assert place == difference(describe(one), describe(other))[0]
    assert difference(describe(one), describe(one)) is None


def test_a_later_version_is_refused(file):
    """The message says which program wrote it."""
    save(Line(), file)
    arrays, metadata = nn.saving.read_arrays(file)
    nn.saving.write_arrays(file, arrays, {**metadata, "version": "2", "written_by": "scalar-autograd 9.0"})
    with pytest.raises(ValueError, match=r"version 2 of the format, from scalar-autograd 9.0; .*update it"):
        load(file, Line())


def test_a_file_of_another_program_is_refused(file):
    """Without an architecture nobody can check it."""
    safetensors.numpy.save_file({"slope": np.array(1.0), "offset": np.array(2.0)}, file)
    with pytest.raises(ValueError, match=r"has no architecture.*nn.load_state_dict"):
        load(file, Line())


@pytest.mark.parametrize("content", [b"", b"x" * 100, "half"], ids=["empty", "text", "half"])
def test_a_damaged_file_is_refused(content, file):
    """It is no safetensors file, or it stops in the middle."""
    save(MLP(2, [8]), file)
    file.write_bytes(file.read_bytes()[:-40] if content == "half" else content)
    with pytest.raises(ValueError, match="is not a whole safetensors file"):
        load(file)


@pytest.mark.parametrize(
    "architecture",
    [
        "[",
        "1",
        "{}",
        '"value"',
        '{"setting": 1}',
        '{"class": "nn.MLP"}',
        '{"class": "nn.MLP", "attributes": {"layers": {"same": "model.x"}}}',
        '{"class": "nn.MLP", "attributes": {"layers": {"list": [{"repeat": "value", "of": 1000000000000}]}}}',
        '{"class": "nn.MLP", "attributes": {"layers": {"list": [{"repeat": {"setting": 1}, "of": 1000000000000}]}}}',
        "[" * 100_000,
    ],
)
def test_a_damaged_architecture_is_refused(architecture, file):
    """It is not a description, or one of something enormous."""
    save(MLP(1, [1]), file)
    arrays, metadata = nn.saving.read_arrays(file)
    nn.saving.write_arrays(file, arrays, {**metadata, "architecture": architecture})
    with pytest.raises(ValueError, match=r"the architecture in .* is damaged"):
        load(file)


@pytest.mark.parametrize("name", ["os.system", "nn.Optimiser", "nn.save", "builtins.exec"])
def test_a_file_makes_no_other_class(name, file):
    """Only modules of this package are made."""
    save(MLP(1, [1]), file)
    arrays, metadata = nn.saving.read_arrays(file)
    nn.saving.write_arrays(file, arrays, {**metadata, "architecture": metadata["architecture"].replace("nn.MLP", name)})
    with pytest.raises(ValueError, match=rf"only your code can make \(model is a {name}\)"):
        load(file)


def test_the_missing_file_is_named(file):
    """As `open` does it."""
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        load(file)


def test_a_failure_leaves_the_old_file(file, monkeypatch):
    """The disk is full, or somebody presses Ctrl-C; nothing else stays in the folder."""
    save(Line(5.0), file)

    def interrupted(handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(Line(6.0), file)
    assert 5.0 == load(file, Line()).slope.data
    assert [file] == list(file.parent.iterdir())


def test_a_link_stays_a_link(file):
    """The file that it points to is replaced."""
    save(Line(5.0), file)
    link = file.with_name("link")
    link.symlink_to(file)
    save(Line(6.0), link)
    assert link.is_symlink()
    assert 6.0 == load(file, Line()).slope.data


def test_readers_and_writers_at_once(file):
    """Threads that save and load see one whole file or another."""
    save(MLP(4, [4], seed=0), file)
    seen = []

    def write():
        for seed in range(20):
            save(MLP(4, [4], seed=seed), file)

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        seen.append(numbers(load(file)))
    writer.join()
    possible = [numbers(MLP(4, [4], seed=seed)) for seed in range(20)]
    assert all(state in possible for state in seen)


def test_anyone_can_read_the_arrays(file):
    """The file is an ordinary safetensors file."""
    model = MLP(2, [3], seed=1)
    save(model, file)
    arrays = safetensors.numpy.load_file(file)
    assert {name: array.tolist() for name, array in state_dict(model).items()} == {
        name: array.tolist() for name, array in arrays.items()
    }
