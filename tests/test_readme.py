"""The README is right: its examples print what it claims, its commands are those of CI."""

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

FENCED_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(match[1], match[2], README.count("\n", 0, match.start()) + 1) for match in FENCED_BLOCK.finditer(README)]
SNIPPETS = [
    pytest.param("\n" * line + code, output if kind == "text" else "", id=f"line-{line}")
    for (language, code, line), (kind, output, _) in zip(BLOCKS, [*BLOCKS[1:], ("", "", 0)], strict=True)
    if language == "python"
]
COMMANDS = [code.strip() for language, code, _ in BLOCKS if language == "sh"]


@pytest.mark.parametrize(("code", "expected"), SNIPPETS)
def test_snippet_prints_what_the_readme_shows(code, expected, tmp_path, monkeypatch):
    """Every Python block runs on its own and prints exactly the text block that follows it."""
    monkeypatch.chdir(tmp_path)
    actual = io.StringIO()
    with contextlib.redirect_stdout(actual):
        exec(compile(code, ROOT / "README.md", "exec"), {"__name__": "readme"})
    assert expected == actual.getvalue()


def test_every_output_follows_a_snippet():
    """Every claimed output is checked: each text block follows a Python block."""
    before_outputs = [BLOCKS[i - 1][0] for i, (kind, _, _) in enumerate(BLOCKS) if kind == "text"]
    assert ["python"] * len(before_outputs) == before_outputs
    assert len(SNIPPETS) >= 3


def test_there_are_exactly_two_commands():
    """The README has one command for the tour and one for the tests, no more."""
    set_up = "python3 -m venv .venv && .venv/bin/pip install -e"
    assert [
        f"{set_up} '.[all]' && .venv/bin/python -m autograd",
        f"{set_up} '.[test]' && .venv/bin/python -m pytest -n auto --dist worksteal",
    ] == COMMANDS


def test_ci_runs_the_test_command_of_the_readme():
    """CI runs exactly the command that the reader is given."""
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert 1 == lines.count(COMMANDS[1])


def test_every_path_in_the_readme_exists():
    """Every path in the table of where things live exists."""
    paths = re.findall(r"^\| `([\w./]+)` \|", README, re.MULTILINE)
    assert "autograd/rules.py" in paths
    assert [] == [path for path in paths if not (ROOT / path).exists()]


def test_the_readme_links_to_files_that_exist_and_to_every_notebook():
    """The index of notebooks is complete, and every link to a file of the repository works."""
    linked = re.findall(r"\]\(([\w./-]+)\)", README)
    assert [] == [path for path in linked if not (ROOT / path).exists()]
    notebooks = {path.relative_to(ROOT).as_posix() for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert notebooks <= set(linked)
