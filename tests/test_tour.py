"""`python -m autograd` trains, checks and draws what it announces, and says clearly what it needs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def run(*arguments, before=""):
    """Run the tour as a user does, with warnings as errors; `before` is executed first."""
    code = f"{before}\nimport runpy, sys\nsys.argv[1:] = {list(map(str, arguments))!r}\n"
    code += "runpy.run_module('autograd', run_name='__main__', alter_sys=True)"
    environment = [sys.executable, "-X", "utf8", "-W", "error", "-c", code]
    return subprocess.run(environment, capture_output=True, encoding="utf-8", check=False)


def test_tour_trains_checks_and_draws(tmp_path):
    """Both networks learn, the gradient is checked, and every picture that is mentioned is there."""
    tour = run("--output", tmp_path / "new" / "folder")
    assert (0, "") == (tour.returncode, tour.stderr)  # no progress bar where output is piped
    moons, digits = [float(x) for x in re.findall(r"([\d.]+)% ", tour.stdout)]
    assert moons >= 95
    assert digits >= 96
    assert "finite differences, on three points: it is" in tour.stdout
    assert "∂y/∂w = " in tour.stdout
    assert "1.414214, 0.353553" in tour.stdout
    written = [Path(path) for path in re.findall(r"^Written: (.*)$", tour.stdout, re.MULTILINE)]
    page, program = "flow.html", "program.txt"
    assert ["expression.png", "neurons.png", page, program, "moons.png", "digits.png"] == [
        path.name for path in written
    ]
    assert [b"\x89PNG"] * 4 == [path.read_bytes()[:4] for path in written if path.suffix == ".png"]
    assert "gradient-flow-data" in written[2].read_text(encoding="utf-8")
    assert "guard" in written[3].read_text(encoding="utf-8")
    assert str((tmp_path / "new" / "folder").resolve()) in tour.stdout.splitlines()[-1]


def test_missing_library_names_the_extra():
    """Without scikit-learn the tour ends at once and says what to install."""
    tour = run(before="import sys; sys.modules['sklearn'] = None")
    assert 1 == tour.returncode
    assert re.search(r"pip install 'scalar-autograd\[all\]'.*sklearn", tour.stderr)
    assert "Traceback" not in tour.stderr


def test_unusable_folder_is_named(tmp_path):
    """A file where the folder should be is an error of usage, before any training."""
    (tmp_path / "taken").write_text("")
    tour = run("--output", tmp_path / "taken" / "below")
    assert 2 == tour.returncode
    assert re.search(r"taken/below' cannot be made: .*--output", tour.stderr)


@pytest.mark.parametrize(("option", "shown"), [("--help", "--output"), ("--version", "scalar-autograd 0.1.0 (")])
def test_help_and_version_need_no_library(option, shown):
    """They are there on an installation without extras, and end without an error."""
    asked = run(option, before="import sys; sys.modules['sklearn'] = sys.modules['llvmlite'] = None")
    assert (0, "") == (asked.returncode, asked.stderr)
    assert shown in asked.stdout
