"""Compiled functions over the blocks of Dask collections: in one process, then on real workers, with their faults."""

from __future__ import annotations

import concurrent.futures
import functools
import gc
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import blocks
import dask
import dask.array as da
import dask.bag
import joblib
import numpy as np
import pytest
from blocks import STEP, bent, lethal, loaded, raising, uses_rate
from dask import delayed

import autograd.math as am
from autograd import Value, grad, jit, value_and_grad, vmap
from autograd.distributed import BlockError, map_blocks, reduce
from autograd.distributed.tasks import Travelling, arrived


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Without a cluster, tasks run one after another in this thread."""
    with dask.config.set(scheduler="synchronous"):
        yield


P = {"scale": 0.5, "w": np.array([1.0, -2.0, 3.0])}


def data(rows: int, chunks: Any) -> tuple[Any, Any]:
    """Rows and targets as Dask arrays."""
    rng = np.random.default_rng(7)
    return da.from_array(rng.normal(size=(rows, 3)), (chunks, 3)), da.from_array(rng.normal(size=rows), chunks)


def bits(tree: Any) -> list[str]:
    """All bits of what `STEP` returns."""
    value, gradient = tree
    return [number.hex() for number in (value, gradient["scale"], *gradient["w"].tolist())]


# ---- results of every row --------------------------------------------------------------------------------------------


def test_the_rows_of_all_blocks() -> None:
    """The result is that of the compiled function on the whole array, in the same chunks."""
    fast = jit(vmap(bent))
    X, _ = data(103, 20)
    found = map_blocks(fast, X[:, 0], X[:, 1])
    assert ((20, 20, 20, 20, 20, 3),) == found.chunks
    assert np.dtype(float) == found.dtype
    whole = X.compute()
    assert np.array_equal(fast(whole[:, 0], whole[:, 1]), found.compute())
    assert 1 == len({map_blocks(fast, X[:, 0], X[:, 1]).name for _ in range(2)})


@dataclass
class Point:
    """Rows in a container."""

    x: Any
    rest: Any


def test_trees_of_arrays() -> None:
    """Arguments and results are trees; shapes of rows are known beforehand, also where their number is not."""
    fast = jit(
        vmap(lambda s, p: {"a": s["k"] * p.x, "b": (p.rest["y"] * 2.0, p.rest["y"][0])}, in_axes=(None, 0)),
    )
    X, y = data(10, 4)
    found = map_blocks(fast, {"k": 3.0}, Point(y, {"y": X}))
    assert [(10,), (10, 3), (10,)] == [found["a"].shape, found["b"][0].shape, found["b"][1].shape]
    whole = fast({"k": 3.0}, Point(y.compute(), {"y": X.compute()}))
    a, b = dask.compute(found["a"], found["b"])
    assert np.array_equal(whole["a"], a)
    assert all(map(np.array_equal, whole["b"], b))
    few = map_blocks(jit(vmap(grad(lambda x: am.sum(x * x)))), X[y > 0.0])
    assert np.isnan(few.shape[0])
    assert 3 == few.shape[1]
    assert np.array_equal(2.0 * X.compute()[y.compute() > 0.0], few.compute())


@pytest.mark.parametrize("dtype", ["float32", "int16", "bool", "uint64", "float16"])
def test_other_numbers(dtype: str) -> None:
    """Blocks of other real numbers are taken as doubles."""
    x = np.arange(7).astype(dtype)
    found = map_blocks(jit(vmap(lambda x: x / 3.0)), da.from_array(x, 2))
    assert np.array_equal(x.astype(float) / 3.0, found.compute())


def test_empty_blocks() -> None:
    """A block without rows has results without rows, and adds nothing to a sum."""
    x = da.concatenate(
        [da.zeros((0, 3), chunks=(1, 3)), da.ones((2, 3), chunks=(2, 3)), da.zeros((0, 3), chunks=(1, 3))]
    )
    found = map_blocks(jit(vmap(lambda x: {"a": x, "b": x[0]})), x)
    assert [(2, 3), (2,)] == [part.compute().shape for part in found.values()]
    mean = jit(value_and_grad(vmap(lambda w, x: w * am.sum(x), in_axes=(None, 0), reduce="mean")))
    assert (6.0, 3.0) == reduce(mean, 2.0, x).compute()
    total = jit(value_and_grad(vmap(lambda w, x: w * am.sum(x), in_axes=(None, 0), reduce="sum")))
    assert (0.0, 0.0) == reduce(total, 2.0, x[:0]).compute()
    with pytest.raises(ValueError, match="the mean over no rows has no value: all blocks are empty"):
        reduce(mean, 2.0, x[:0]).compute()


def test_frames() -> None:
    """The columns of a DataFrame are a dict; index and divisions stay; a dict of numbers becomes a DataFrame."""
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    frame = pd.DataFrame({"x": np.linspace(-1.0, 2.0, 11), "n": range(11), "y": 1.0}, index=range(100, 111))
    parts = dd.from_pandas(frame, npartitions=3)
    row = jit(vmap(lambda r, t: {"a": bent(r["x"], r["y"]) + t, "b": r["n"] * 2.0}))
    found = map_blocks(row, parts, parts["x"])
    assert parts.divisions == found.divisions
    assert ["a", "b"] == list(found.columns)
    arrays = {name: frame[name].to_numpy() for name in frame}
    expected = pd.DataFrame(row(arrays, arrays["x"]), frame.index)
    pd.testing.assert_frame_equal(expected, found.compute())
    with_result = parts.assign(z=map_blocks(jit(vmap(lambda x: x * x)), parts.x)).compute()
    assert np.array_equal(arrays["x"] ** 2, with_result["z"])
    some = map_blocks(jit(vmap(lambda x: x * x)), parts[parts.n > 8].x)  # two partitions have no rows
    pd.testing.assert_series_equal(frame.x[frame.n > 8] ** 2, some.compute(), check_names=False)
    total = jit(value_and_grad(vmap(lambda w, r: w * r["n"], in_axes=(None, 0), reduce="mean")))
    assert (10.0, 5.0) == reduce(total, 2.0, parts).compute()


def test_partitions_that_do_not_fit() -> None:
    """Rows of two collections are never paired by chance: indexes and columns are compared."""
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0]})
    parts = dd.from_pandas(frame, npartitions=1)
    both = jit(vmap(lambda a, b: a * b))
    turned = dd.from_delayed([delayed(frame.y[::-1])], meta=frame.y, verify_meta=False)
    plain = dd.from_delayed([delayed(frame.x)], meta=frame.x)
    with pytest.raises(BlockError, match=r"block 0: .*argument 0 of .* and argument 1 of .* have different indexes"):
        map_blocks(both, plain, turned).compute()
    wrong = dd.from_delayed([delayed(frame[["y", "x"]])], meta=frame, verify_meta=False)
    with pytest.raises(BlockError, match=r"has the columns \['y', 'x'\], and \['x', 'y'\] by its meta"):
        map_blocks(jit(vmap(lambda r: r["x"])), wrong).compute()
    with pytest.raises(TypeError, match=r"argument 0 of <lambda> is an index: pass index.to_series\(\)"):
        map_blocks(jit(vmap(lambda x: x)), parts.index)
    with pytest.raises(TypeError, match="must return a number or a dict of numbers, not"):
        map_blocks(jit(vmap(lambda x: (x, x))), parts.x)
    with pytest.raises(TypeError, match="make them one kind"):
        map_blocks(both, parts.x, da.ones(2, chunks=2))
    with pytest.raises(
        ValueError, match=r"are cut into different blocks, .*: cut them alike with rechunk or repartition"
    ):
        map_blocks(both, parts.x, dd.from_pandas(frame, npartitions=2).y)


# ---- sums ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [1, 8, 70])
def test_sums_over_any_number_of_blocks(blocks: int) -> None:
    """Value and gradient are those of all rows, up to rounding; the mean counts rows and not blocks."""
    X, y = data(701, -(-701 // blocks))
    value, gradient = reduce(jit(STEP), P, X, y).compute()
    expected, slopes = jit(STEP)(P, X.compute(), y.compute())
    assert expected == pytest.approx(value, rel=1e-13)
    assert slopes["scale"] == pytest.approx(gradient["scale"], rel=1e-12)
    assert np.allclose(slopes["w"], gradient["w"], rtol=1e-12, atol=0.0)
    assert float is type(gradient["scale"])


def test_the_same_bits_whichever_block_is_first() -> None:
    """What a process has computed before, and which paths it compiled first, has no effect on any bit."""
    X, y = data(600, 100)
    shuffled = np.sort(X.compute(), axis=0)[::-1]  # each block starts on another path
    X = da.from_array(shuffled, (100, 3))
    found = set()
    for order in (range(6), reversed(range(6)), (3, 1, 5, 0, 2, 4)):
        step = jit(STEP)
        for k in order:
            step(P, X.blocks[k].compute(), y.blocks[k].compute())
        found.add(tuple(bits(reduce(step, P, X, y).compute())))
        found.add(tuple(bits(step_of_blocks(step, X, y))))
    assert 1 == len(found)


def step_of_blocks(step: Any, X: Any, y: Any) -> Any:
    """The mean over six blocks of equal size, written out."""
    parts = [step(P, X.blocks[k].compute(), y.blocks[k].compute()) for k in range(6)]

    def mean(numbers: list[Any]) -> Any:
        total = numbers[0] * 100.0
        for number in numbers[1:]:
            total = total + number * 100.0
        return total / 600.0

    slopes = {name: mean([gradient[name] for _, gradient in parts]) for name in ("scale", "w")}
    return mean([value for value, _ in parts]), slopes


# ---- errors ----------------------------------------------------------------------------------------------------------


POISON = {
    "raises": (lambda: np.array([1.0, 5.0]), "ZeroDivisionError: too large"),
    "rows": (lambda: np.ones(3), r"ValueError: argument 0 of raising has the shape \(3,\), but should have 2 rows"),
    "shape": (lambda: np.ones((2, 2)), r"has the shape \(2, 2\), but should have 2 rows of shape \(\)"),
    "number": (lambda: np.float64(1.0), "TypeError: argument 0 of raising is of type float64, not a NumPy array"),
    "text": (lambda: np.array(["a", "b"]), "TypeError: .* cannot be used as float64"),
    "complex": (lambda: np.array([1j, 2.0]), "TypeError: .* complex128 cannot be used as float64"),
    "list": (lambda: [1.0, 2.0], "TypeError: argument 0 of raising is of type list"),
    "masked": (lambda: np.ma.masked_array([1.0, 2.0], [True, False]), "TypeError: .*mask"),
    "source": (lambda: 1 / 0, None),
}


@pytest.mark.parametrize("kind", POISON)
def test_a_poisoned_block(kind: str) -> None:
    """A block that raises, or is not what its collection says, is an error with the number of the block."""
    make, message = POISON[kind]
    good = [da.from_delayed(delayed(np.ones)(2), (2,), float) for _ in range(2)]
    x = da.concatenate([*good, da.from_delayed(delayed(make)(), (2,), float), *good])
    for found in (map_blocks(jit(vmap(raising)), x), reduce(jit(vmap(raising, reduce="sum")), x)):
        if message is None:  # Dask's own error: the block does not exist
            with pytest.raises(ZeroDivisionError):
                found.compute()
            continue
        with pytest.raises(BlockError, match=rf"^block 2: .*{message}") as raised:
            found.compute()
        assert 2 == raised.value.block


def test_what_is_refused_before_anything_is_computed() -> None:
    """Wrong functions and arguments are errors where they are given, and say what to do."""
    x = da.ones(4, chunks=2)
    square = jit(vmap(lambda x: x * x))
    w = Value(2.0)
    for wrong in (vmap(abs), jit(abs), lambda x: x):
        with pytest.raises(TypeError, match=r"map_blocks takes jit\(vmap\(f\)\)"):
            map_blocks(wrong, x)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="for sums over the rows and their gradients use reduce"):
        map_blocks(jit(vmap(abs, reduce="sum")), x)
    with pytest.raises(TypeError, match="for results of every row use map_blocks"):
        reduce(square, x)
    with pytest.raises(TypeError, match="for results of every row use map_blocks"):
        reduce(jit(grad(vmap(lambda x: x * x, reduce="sum"))), x)
    with pytest.raises(TypeError, match=r"argument 0 of <lambda> has rows, .*not ndarray: dask.array.from_array"):
        map_blocks(square, np.ones(4))
    with pytest.raises(TypeError, match=r"is a Delayed: dask\.array\.from_delayed makes an array of it"):
        map_blocks(square, delayed(np.ones)(4))
    with pytest.raises(TypeError, match="must be a Dask array, DataFrame or Series, not Bag"):
        map_blocks(square, dask.bag.from_sequence([1.0]))
    with pytest.raises(ValueError, match=r"has the chunks .*, but must be cut along its rows only"):
        map_blocks(square, da.ones((4, 4), chunks=2))
    with pytest.raises(ValueError, match="are cut into different blocks"):
        map_blocks(jit(vmap(lambda x, y: x * y)), x, da.ones(4, chunks=4))
    with pytest.raises(ValueError, match="rows along axis 1: blocks have them along axis 0"):
        map_blocks(jit(vmap(lambda x: x, in_axes=1)), x)
    with pytest.raises(ValueError, match=r"in_axes of .* has 2 entries for 1 arguments"):
        map_blocks(jit(vmap(lambda a, b: a, in_axes=(0, None))), x)
    with pytest.raises(TypeError, match="reads Values from outside its arguments"):
        map_blocks(jit(vmap(lambda x: w * x)), x)
    with pytest.raises(TypeError, match="reads Values from outside its arguments"):
        reduce(jit(grad(vmap(lambda a, x: a * w * x, in_axes=(None, 0), reduce="sum"))), 1.0, x)
    with pytest.raises(TypeError, match="argument 0 of <lambda> holds Values"):
        reduce(jit(vmap(lambda a, x: a * x, in_axes=(None, 0), reduce="sum")), w, x)
    with pytest.raises(TypeError, match="is a Dask collection, but in_axes says that all rows share it"):
        reduce(jit(vmap(lambda a, x: a * x, in_axes=(None, 0), reduce="sum")), x, x)
    with pytest.raises(ValueError, match="returns no numbers"):
        map_blocks(jit(vmap(lambda x: None)), x)
    with pytest.raises(ValueError, match="unknown shape"):
        map_blocks(square, da.ones((2, 4), chunks=-1).T[da.ones(4, chunks=-1) > 0.0].T)


def picky(x: Any) -> Any:
    """A function that refuses ones."""
    if x == 1.0:
        raise ValueError("no ones")
    return x * x


def test_a_sample() -> None:
    """A function that refuses a row of ones is traced on the rows that are given."""
    x = da.full(4, 3.0, chunks=2)
    with pytest.raises(ValueError, match="no ones") as raised:
        map_blocks(jit(vmap(picky)), x)
    assert ["This was raised for one row of ones, which is used to trace: pass other rows as sample="] == (
        raised.value.__notes__
    )
    assert [9.0] * 4 == map_blocks(jit(vmap(picky)), x, sample=[np.array([2.0])]).compute().tolist()


def test_a_result_that_changes_its_shape() -> None:
    """A branch whose results have another shape than those of the sample is an error of its block."""
    fast = jit(vmap(lambda x: [x, x] if x > 2.0 else [x]))
    with pytest.raises(BlockError, match=r"block 1: .*a branch returns another shape, so pass a sample that takes it"):
        map_blocks(fast, da.from_array(np.array([1.0, 1.0, 3.0, 3.0]), 2))[0].compute()


def test_without_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    """If Dask is missing, the error says what to install."""
    monkeypatch.setitem(sys.modules, "dask.array", None)
    with pytest.raises(ImportError, match=r"needs Dask .*: pip install 'scalar-autograd\[distributed\]'"):
        map_blocks(jit(vmap(abs)), None)


# ---- what travels ----------------------------------------------------------------------------------------------------


def test_a_process_compiles_a_function_once() -> None:
    """The same function arrives many times, and is loaded once; a different state of what it reads is another one."""
    factor = 3.0
    fast = jit(vmap(lambda x: factor * x))
    fast(np.ones(1))
    there = Travelling.of(fast)
    first, again = (arrived(*there.__reduce__()[1]) for _ in range(2))
    assert first is again
    assert first.fast is not fast
    assert [6.0] == first.fast(np.array([2.0])).tolist()
    assert there.digest == Travelling.of(fast).digest
    factor = 5.0
    fast(np.ones(1))
    other = Travelling.of(fast)
    assert [10.0, 6.0] == [arrived(*t.__reduce__()[1]).fast(np.array([2.0]))[0] for t in (other, there)]


def test_a_worker_with_another_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function whose module reads a number that is another one on the worker is refused there."""
    fast = jit(vmap(uses_rate))
    fast(np.ones(1))
    monkeypatch.setattr(blocks, "RATE", 7.0)
    fast(np.ones(1))
    there = Travelling.of(fast)
    monkeypatch.setattr(blocks, "RATE", 2.0)  # also in a state that the function has been in before
    with pytest.raises(ValueError, match="uses_rate reads RATE outside its arguments, which is not the same here"):
        arrived(*there.__reduce__()[1])


# ---- processes -------------------------------------------------------------------------------------------------------


@functools.cache
def compiled_step() -> Any:
    """The step that all slow tests share."""
    return jit(STEP)


@pytest.mark.slow
def test_pickling_is_all_that_others_need() -> None:
    """A compiled function runs in the processes of concurrent.futures and joblib as any function does."""
    step = compiled_step()
    X, y = (x.compute() for x in data(400, 100))
    expected = [bits(step(P, X[k : k + 100], y[k : k + 100])) for k in range(0, 400, 100)]
    blocks = [(P, X[k : k + 100], y[k : k + 100]) for k in range(0, 400, 100)]
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert expected == [bits(found) for found in pool.map(step, *zip(*blocks))]
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(step)(*block) for block in blocks)
    assert expected == [bits(one) for one in found]


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_schedulers_of_dask(scheduler: str) -> None:
    """Threads and processes give the bits of one thread."""
    X, y = data(700, 100)
    total, rows = reduce(compiled_step(), P, X, y), map_blocks(jit(vmap(bent)), X[:, 0], y)
    expected = dask.compute(total, rows)
    found = dask.compute(total, rows, scheduler=scheduler, num_workers=2)
    assert bits(expected[0]) == bits(found[0])
    assert np.array_equal(expected[1], found[1])


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A cluster of two processes on this machine, with a cache of machine code of their own."""
    from distributed import Client, LocalCluster

    folder = tmp_path_factory.mktemp("cluster")
    os.environ["AUTOGRAD_CACHE"], before = str(folder / "cache"), os.environ.get("AUTOGRAD_CACHE")
    settings = {
        "distributed.worker.daemon": True,
        "temporary-directory": str(folder),
        "distributed.admin.tick.limit": "60s",
        "distributed.comm.timeouts.connect": "60s",
    }
    try:
        with (
            dask.config.set(settings),
            LocalCluster(
                n_workers=2,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address=None,
                worker_dashboard_address=None,
                silence_logs=50,
            ) as cluster,
            Client(cluster, set_as_default=False) as found,
        ):
            yield found
    finally:
        os.environ.pop("AUTOGRAD_CACHE")
        if before is not None:
            os.environ["AUTOGRAD_CACHE"] = before


@pytest.mark.slow
def test_a_cluster(client: Any) -> None:
    """Two processes give the bits of one thread, also for functions that only exist here."""
    scale = 1.5
    X, y = data(900, 100)
    total, rows = reduce(compiled_step(), P, X, y), map_blocks(jit(vmap(lambda x: scale * bent(x, x))), y)
    assert bits(total.compute()) == bits(total.compute(scheduler=client))
    assert np.array_equal(rows.compute(), rows.compute(scheduler=client))


@pytest.mark.slow
def test_a_worker_that_is_killed(client: Any, tmp_path: Path) -> None:
    """With one of two processes killed in the midst, its work is done again, and no bit of the result changes."""
    X, y = data(3000, 100)
    before = set(client.scheduler_info()["workers"])
    killing = da.from_delayed(delayed(lethal)(X[1700:1800].compute(), str(tmp_path / "flag")), (100, 3), float)
    with_it = da.concatenate([X[:1700], killing, X[1800:]])
    expected = reduce(compiled_step(), P, X, y).compute()
    found = reduce(compiled_step(), P, with_it, y).compute(scheduler=client)
    assert (tmp_path / "flag").exists()
    assert bits(expected) == bits(found)
    client.wait_for_workers(2, timeout=60)
    assert before != set(client.scheduler_info()["workers"])


@pytest.mark.slow
def test_a_poisoned_block_on_a_cluster(client: Any) -> None:
    """The error arrives with the number of the block, and the next computation is not disturbed."""
    x = da.from_array(np.array([1.0, 2.0, 1.0, 2.0, 1.0, 5.0]), 2)
    fast = jit(vmap(raising))
    with pytest.raises(BlockError, match=r"^block 2: ZeroDivisionError: too large") as raised:
        map_blocks(fast, x).compute(scheduler=client)
    assert 2 == raised.value.block
    assert [1.0, 4.0, 1.0, 4.0] == map_blocks(fast, x[:4]).compute(scheduler=client).tolist()


@pytest.mark.slow
def test_nothing_is_left_on_the_scheduler(client: Any) -> None:
    """When results and errors are gone, the scheduler has no task and the workers have no data."""
    X, y = data(900, 100)
    for _ in range(3):
        reduce(compiled_step(), P, X, y).compute(scheduler=client)
    with pytest.raises(BlockError):
        map_blocks(jit(vmap(raising)), y + 9.0).compute(scheduler=client)
    for _ in range(50):
        gc.collect()  # an exception and its traceback refer to each other, and to the future
        tasks = client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))
        held = sum(client.run(lambda dask_worker: len(dask_worker.data)).values())
        if tasks == held == 0:
            break
        time.sleep(0.2)
    assert (0, 0) == (tasks, held)


@pytest.mark.slow
def test_each_process_of_a_cluster_compiles_once(client: Any) -> None:
    """Thirty blocks and three calls load one function in each process, and add nothing to the cache of this machine."""
    fast = jit(vmap(lambda x: am.sin(x) * am.cos(x) + 17.0))
    folder = Path(os.environ["AUTOGRAD_CACHE"])
    fast(np.ones(1))
    entries = set(folder.iterdir())
    before = client.run(loaded)
    x = da.ones(300, chunks=10)
    for _ in range(3):
        map_blocks(fast, x).sum().compute(scheduler=client)
    assert {name: count + 1 for name, count in before.items()} == client.run(loaded)
    assert entries == set(folder.iterdir())


@pytest.mark.slow
def test_training_step_by_step(client: Any) -> None:
    """A fit over blocks that stay on the workers has the bits of one on threads."""
    step = jit(value_and_grad(vmap(lambda w, x, y: (w[0] * x[0] + w[1] - y) ** 2, in_axes=(None, 0, 0), reduce="mean")))
    X, _ = data(400, 100)
    y = 2.0 * X[:, 0] + 1.0
    kept, targets = client.persist([X, y])

    def trained(compute: Any, X: Any, y: Any) -> list[float]:
        w = np.zeros(2)
        for _ in range(20):
            w = w - 0.4 * compute(reduce(step, w, X, y))[1]
        return w.tolist()

    there = trained(lambda total: total.compute(scheduler=client), kept, targets)
    assert trained(lambda total: total.compute(), X, y) == there
    assert [2.0, 1.0] == pytest.approx(there, abs=1e-3)
