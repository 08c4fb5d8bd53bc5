"""Lay out and render DOT source: with the system's `dot`, or else with the `graphviz-pure` that pip installs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable

_chosen: list[Callable[[str, str], str | bytes]] = []  # by `use_layout`; none: a program


def use_layout(render: Callable[[str, str], str | bytes] | None) -> None:
    """Let a function lay out and render graphs in place of a program, where none can run: in a browser, say.

    Parameters
    ----------
    render : callable or None
        Called as ``render(source, format)`` with DOT source and one of Graphviz's output formats (the viewer asks for
        "json0"); returns text or bytes. None goes back to the program.

    Raises
    ------
    TypeError
        If it is neither a function nor None.

    Examples
    --------
    >>> from autograd.view import use_layout
    >>> from autograd.view.dot import layout
    >>> use_layout(lambda source, format: f"{format} of {source}")
    >>> layout("digraph { a }", "svg")
    b'svg of digraph { a }'
    >>> use_layout(None)
    """
    if render is not None and not callable(render):
        raise TypeError(f"use_layout takes a function of DOT source and a format, or None, not {render!r}")
    _chosen[:] = [] if render is None else [render]


def program() -> str:
    """The path of the program that renders DOT.

    Raises
    ------
    RuntimeError
        If neither `dot` nor `graphviz-pure` is installed; the message says how to install one.
    """
    found = shutil.which("dot")
    if found is None:  # the scripts of a virtual environment are on the path only if it is activated
        places = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
        found = shutil.which("graphviz-pure", path=places)
    if found is None:
        raise RuntimeError(
            "no program that draws graphs was found: install Graphviz (on Debian: apt-get install graphviz) "
            "or run: pip install 'scalar-autograd[view]'"
        )
    return found


def layout(source: str, format: str = "svg") -> bytes:  # noqa: A002 (Graphviz's word for it)
    """Render DOT source.

    Parameters
    ----------
    source : str
        A graph in the DOT language.
    format : str
        The output format: "svg", "png", "json", "plain", … (`dot -T`). The system's `dot` usually knows "pdf" as
        well, `graphviz-pure` does not.

    Returns
    -------
    bytes
        The contents of a file of that format; text formats are in UTF-8.

    Raises
    ------
    ValueError
        If the program does not know the format, or the source has a syntax error.
    RuntimeError
        If there is no program, or it fails.

    Examples
    --------
    >>> from autograd.view.dot import layout
    >>> b"<svg" in layout("digraph { a -> b }")
    True
    """
    if _chosen:
        rendered = _chosen[0](source, format)
        return rendered.encode() if isinstance(rendered, str) else rendered
    dot = program()
    ran = subprocess.run([dot, f"-T{format}"], input=source.encode(), capture_output=True, check=False)
    complaint = ran.stderr.decode(errors="replace").strip()
    if f'"{format}" not recognized' in complaint:
        raise ValueError(f"{dot} cannot write the format {format!r}. {complaint}")
    if ran.returncode != 0:
        kind = ValueError if "syntax error" in complaint else RuntimeError
        raise kind(f"{dot} failed with exit status {ran.returncode}: {complaint or 'it gave no reason'}")
    return ran.stdout
