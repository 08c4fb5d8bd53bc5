"""The notebooks are right: executed here, each prints its committed outputs."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

without = [name for name in ("nbclient", "nbformat") if find_spec(name) is None]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(without), reason=f"no module {' and no '.join(without)}")]
FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NOT_COMPARED = {"timing", "varies"}  # tags of cells that print times, or results that depend on a library's last digit
TEXTS = ("text/plain", "text/latex", "text/markdown")
NUMBER = re.compile(r"[-+]?\d+(?:,\d{3})*(?:\.\d*)?(?:[eE][-+]?\d+)?")
SLOW = re.compile(r"autograd: compiling .* (took|takes about) \d+ s: .*\n")  # a slow machine says so
ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|tmp|usr|work|var|Users|private)/|[A-Z]:\\")


def load(path):
    """Return a committed notebook."""
    import nbformat  # takes seconds, also where these tests are only collected

    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    """Return the cells that can be executed."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def texts(cell):
    """Return all that a cell printed, one text for each output, consecutive prints joined."""
    found = []
    for output in cell.outputs:
        if output.output_type == "stream":
            output.text = SLOW.sub("", output.text)
            if not output.text:
                continue
            if found and found[-1][0] == output.name:
                found[-1] = (output.name, found[-1][1] + output.text)
            else:
                found.append((output.name, output.text))
        elif output.output_type == "error":
            found.append(("error", f"{output.ename}: {output.evalue}"))
        else:
            found.extend((kind, ADDRESS.sub("0x", output.data[kind])) for kind in TEXTS if kind in output.data)
    return found


def last_place(number):
    """Return one unit in the last place that is printed of a number; 0 for a whole number."""
    digits, _, exponent = number.lower().partition("e")
    _, point, decimals = digits.partition(".")
    return 10.0 ** (int(exponent or 0) - len(decimals)) if point or exponent else 0.0


def differences(expected, actual):
    """Return the differences of two texts: words, whole numbers, and decimals that differ beyond the last place."""
    words = [" ".join(NUMBER.sub("#", text).split()) for text in (expected, actual)]
    if words[0] != words[1]:
        return [f"expected the text {expected!r}, got {actual!r}"]
    pairs = zip(NUMBER.findall(expected), NUMBER.findall(actual), strict=True)
    return [f"expected {old}, got {new}" for old, new in pairs if not close(old.replace(",", ""), new.replace(",", ""))]


def close(old, new):
    """Whether two printed numbers differ by no more than one in the last place of the coarser one, or by 1e-9."""
    tolerance = max(1.5 * max(last_place(old), last_place(new)), 1e-9 * abs(float(old)) if last_place(old) else 0.0)
    return abs(float(old) - float(new)) <= tolerance


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_prints_what_it_shows(path, tmp_path):
    """Every cell runs, and its text outputs are the committed ones."""
    committed, executed = load(path), load(path)
    import nbclient

    nbclient.execute(executed, cwd=tmp_path, timeout=600, kernel_name="python3")
    wrong = []
    for old, new in zip(code_cells(committed), code_cells(executed), strict=True):
        if NOT_COMPARED.isdisjoint(old.metadata.get("tags", [])):
            expected, actual = texts(old), texts(new)
            if [kind for kind, _ in expected] != [kind for kind, _ in actual]:
                wrong.append(f"cell {old.id}: expected {expected}, got {actual}")
            else:
                pairs = zip(expected, actual, strict=True)
                wrong.extend(f"cell {old.id}: {d}" for (_, e), (_, a) in pairs for d in differences(e, a))
    assert [] == wrong


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_was_executed_in_order(path):
    """The outputs come from one run from top to bottom."""
    counts = [cell.execution_count for cell in code_cells(load(path))]
    assert list(range(1, len(counts) + 1)) == counts


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_shows_neither_warnings_nor_machine_paths(path):
    """No output depends on the machine on which it was made."""
    shown = [(cell.id, kind, text) for cell in code_cells(load(path)) for kind, text in texts(cell)]
    assert [] == [(cell, text) for cell, kind, text in shown if kind in ("stderr", "error")]
    assert [] == [(cell, text) for cell, _, text in shown if MACHINE_PATH.search(text)]


def test_there_are_notebooks():
    """The tests above have something to test."""
    assert len(NOTEBOOKS) >= 2


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("E = 0.298371109", "E = 0.298371109"),
        ("E = 0.298371109", "E = 0.298371110"),  # rounded in the other direction
        ("1,024 in 1.50e-09 s", "1,024 in 1.51e-09 s"),
        ("a  0.10\nb -0.20", "a 0.10\nb  -0.20"),  # columns may move
        ("[2.5000000000000004]", "[2.5]"),
    ],
)
def test_small_differences_are_none(expected, actual):
    """The last printed digit and the layout of columns may depend on the machine."""
    assert [] == differences(expected, actual)


@pytest.mark.parametrize(
    ("expected", "actual", "told"),
    [
        ("E = 0.298371109", "E = 0.298371112", "expected 0.298371109, got 0.298371112"),
        ("484 messages", "485 messages", "expected 484, got 485"),
        ("1.50e-09", "1.50e-08", "expected 1.50e-09, got 1.50e-08"),
        ("w = 0.5", "w = -0.5", "expected 0.5, got -0.5"),
        ("all agree: True", "all agree: False", "expected the text 'all agree: True', got 'all agree: False'"),
        ("x = 1.0", "x = nan", "expected the text 'x = 1.0', got 'x = nan'"),
        ("one line", "one line\nand another", "expected the text 'one line', got 'one line\\nand another'"),
    ],
)
def test_real_differences_are_told(expected, actual, told):
    """A number, a sign, a word or a line that changed fails the test, and the message shows it."""
    assert [told] == differences(expected, actual)
