"""DOT source becomes a picture with either program, and errors are reported."""

import subprocess
import sysconfig
from pathlib import Path

import pytest

from autograd import Value
from autograd.view import dot, flow

TINY = "digraph { a -> b }"


@pytest.fixture(params=["the first program found", "graphviz-pure"])
def program(request, monkeypatch, tmp_path):
    """The program found on this machine, and the one that is found with an empty PATH."""
    if request.param == "graphviz-pure":
        monkeypatch.setenv("PATH", str(tmp_path))
    return dot.program()


@pytest.mark.parametrize(("kind", "magic"), [("svg", b"<svg"), ("png", b"\x89PNG"), ("plain", b"graph 1")])
def test_both_programs_write_pictures(program, kind, magic):
    """The system's dot and the one that pip installs both write SVG, PNG and plain text."""
    assert magic in dot.layout(TINY, kind)


def test_unknown_format_is_named(program):
    """The error names the format and lists those that the program has."""
    with pytest.raises(ValueError, match=r"'bogus'.*svg"):
        dot.layout(TINY, "bogus")


def test_broken_source_is_an_error(program):
    """A mistake in the source is reported, not drawn."""
    with pytest.raises(ValueError, match="syntax error"):
        dot.layout("digraph { a -> ")


def test_without_the_path_the_one_from_pip_is_found(monkeypatch, tmp_path):
    """A virtual environment need not be activated: its scripts folder is searched."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Path(sysconfig.get_path("scripts")) == Path(dot.program()).parent


def test_no_program_at_all(monkeypatch, tmp_path):
    """The error says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(dot.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(RuntimeError, match=r"apt-get install graphviz.*scalar-autograd\[view\]"):
        dot.layout(TINY)


def test_a_function_takes_the_place_of_the_program(monkeypatch):
    """Where no program runs, a function lays out the viewer's graphs; it may return text or bytes."""
    x = Value(3.0, label="x")
    expected = flow(x * x).html()
    program, formats = dot.program(), []

    def render(source, kind):
        formats.append(kind)
        return subprocess.run([program, f"-T{kind}"], input=source, capture_output=True, text=True, check=True).stdout

    monkeypatch.setattr(dot, "program", None)
    dot.use_layout(render)
    try:
        assert expected == flow(x * x).html()
        assert {"json0"} == set(formats)
        dot.use_layout(lambda source, kind: b"bytes")
        assert b"bytes" == dot.layout(TINY)
    finally:
        dot.use_layout(None)
    with pytest.raises(TypeError, match=r"use_layout takes a function .*, or None, not 'dot'"):
        dot.use_layout("dot")
