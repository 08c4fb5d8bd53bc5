"""The gradient-flow viewer: step through the forward pass and the reverse sweep of a graph, message by message."""

from __future__ import annotations

from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any

from autograd.ieee import to_float
from autograd.sweep import topological_order
from autograd.value import Value
from autograd.view.inputs import find_inputs
from autograd.view.layout import Tree, lay_out, list_views, short_name
from autograd.view.names import named_parameters
from autograd.view.page import Json, frame, page, script, still, style, to_json
from autograd.view.recompute import with_changes
from autograd.view.record import record

LARGEST_UNFOLDED = 6_000  # nodes that are laid out one by one when that is asked for


class Flow:
    """The gradient-flow viewer of one value.

    A notebook shows it; `save` writes a page that opens in any browser. The sweep is recorded once, here. The viewer
    moves through the record: forward, with the numbers in every formula, then backward, message by message, with the
    running sum at every node and the messages that are still to come.

    Under "What if" a reader gives leaves other numbers, or takes gradient steps, and sees how everything changes. The
    viewer computes this by itself, in a saved page too; `widget` asks Python.

    Parameters
    ----------
    value : Value
        The output: the number whose derivatives flow back.
    check : bool
        Compare every adjoint with a central finite difference and mark it with a tick or a cross. The cost grows
        with the square of the number of nodes.
    unfold : bool, optional
        True shows all nodes one by one, however many; by default groups (modules by the labels of their
        parameters, repeated structures, stretches of long programs) are folded in graphs that are too large to read.
    title : str, optional
        The heading; the value's label by default.

    Attributes
    ----------
    record : dict
        The recorded sweep: see `autograd.view.record.record`.

    Raises
    ------
    TypeError
        If `value` is not a Value.
    ValueError
        If the graph is too large; the message says how large, and what to do.
    RuntimeError
        If Graphviz is not installed; the message says how to install it.

    Notes
    -----
    Nodes know the line of code that made them if they were made under `autograd.record_sources()`.

    Examples
    --------
    >>> from autograd import Value
    >>> from autograd.view import flow
    >>> x, w = Value(0.5, label="x"), Value(-2.0, label="w")
    >>> y = (w * x).tanh()
    >>> y.label = "y"
    >>> page = flow(y, check=True).html()
    >>> "<svg" not in page and "gradient-flow-data" in page  # the viewer draws the picture
    True
    """

    def __init__(
        self, value: Value, *, check: bool = False, unfold: bool | None = None, title: str | None = None
    ) -> None:
        self._value = value
        self._payload = _payload(record(value, check=check), unfold, title)

    @property
    def record(self) -> Json:
        """The recorded sweep."""
        recorded: Json = self._payload["record"]
        return recorded

    @property
    def payload(self) -> Json:
        """All that the viewer's JavaScript takes: the record, and the layout of every view."""
        return self._payload

    def html(self) -> str:
        """A self-contained page with the viewer."""
        return page(self._payload)

    def picture(self) -> str:
        """A still picture of the graph at the end of the sweep, as SVG."""
        return still(self._payload)

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the viewer to a file that opens in a browser without a server, a network or Python.

        Parameters
        ----------
        path : str or path
            The file to write; its name should end in ``.html``.

        Returns
        -------
        Path
            The file that was written.
        """
        return _write(path, self.html())

    def widget(self) -> Any:
        """The viewer as an anywidget: leaves that the reader changes are computed again by Python.

        So graphs with primitives of one's own, checkpoints and compiled functions follow too. The Values of the graph
        do not change. The widget fits into dashboards and layouts of ipywidgets.

        Returns
        -------
        AnyWidget
            Its trait `changes` maps the places of changed leaves in the record (as text) to their numbers.
            It may be observed, and assigned. Its trait `output` is the number that the output has with them.

        Raises
        ------
        ImportError
            If anywidget is not installed.
        """
        shown = _widget_class()(payload=to_json(self._payload | {"live": True}), output=self._value.data)
        shown.observe(lambda change: self._answer(shown, change["new"]), "changes")
        return shown

    def _answer(self, shown: Any, changes: dict[str, float]) -> None:
        """Send the numbers of the graph with these leaves; an error is shown in the viewer."""
        answer: Json = {"changes": changes}
        try:
            output = with_changes(self._value, {int(leaf): to_float(x) for leaf, x in changes.items()})
            inputs = find_inputs(topological_order(self._value))
            answer["record"] = numbers_of(record(output, inputs=inputs))
        except Exception as error:  # whatever a primitive of the user's raises
            answer["error"] = f"{type(error).__name__}: {error}"
        else:
            shown.output = output.data
        shown.numbers = to_json(answer)

    def __repr__(self) -> str:
        recorded = self.record
        nodes = len(recorded["nodes"]) - recorded["first"]
        sizes = f"{nodes} nodes, {len(recorded['messages']['node'])} messages"
        return f"<flow of {self._payload['title']}: {sizes}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook stores: the viewer itself, so that it works without a kernel."""
        return {"text/plain": repr(self), "text/html": frame(self._payload)}

    @staticmethod
    def watch(model: Any = None, *, every: int = 1) -> Watch:
        """Watch a training run: one viewer whose numbers change while the model learns.

        Parameters
        ----------
        model : object with ``named_parameters()``, or iterable of (name, Value), optional
            Names for parameters that have no label of their own.
        every : int
            Show one of this many updates.

        Returns
        -------
        Watch
            Display it once; then call it with the loss in every training step.

        Examples
        --------
        >>> from autograd import Value
        >>> from autograd.view import flow
        >>> w = Value(3.0)
        >>> watched = flow.watch([("w", w)])
        >>> for step in range(3):
        ...     loss = (w - 1) ** 2
        ...     w.grad = 0.0
        ...     loss.backward()
        ...     watched(loss)
        ...     w.data -= 0.25 * w.grad
        >>> watched.history
        [4.0, 1.0, 0.25]
        """
        return Watch(model, every)


def _payload(recorded: Json, unfold: bool | None, title: str | None) -> Json:
    """All that the viewer needs: the record, and the layout of every view."""
    count = len(recorded["nodes"])
    if unfold and count > LARGEST_UNFOLDED:
        raise ValueError(
            f"{count} nodes one by one would take minutes to lay out (at most {LARGEST_UNFOLDED}): leave out "
            "unfold=True and open the groups of interest, or look at the loss of fewer samples"
        )
    tree = Tree(recorded)
    views, first = list_views(tree, unfold)
    names = [short_name(recorded, node) for node in range(count)]
    label = recorded["nodes"][-1]["label"]
    return {
        "title": title or label or f"a graph of {count - recorded['first']} nodes",
        "record": recorded,
        "first": first,
        **lay_out(tree, views, names),
    }


def numbers_of(recorded: Json) -> Json:
    """What of a record depends on the numbers."""
    return {
        key: recorded[key] for key in recorded.keys() - {"nodes", "first", "groups", "unknown", "weights", "deltas"}
    }


def _write(path: str | PathLike[str], text: str) -> Path:
    file = Path(path)
    file.write_text(text, encoding="utf-8")
    return file


@cache
def _widget_class() -> Any:
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise ImportError("the live viewer needs anywidget: pip install 'scalar-autograd[view]'") from error

    class FlowWidget(anywidget.AnyWidget):
        """The viewer in a notebook, fed by the kernel."""

        _esm = script()
        _css = style()
        payload = traitlets.Unicode().tag(sync=True)
        numbers = traitlets.Unicode().tag(sync=True)
        changes = traitlets.Dict().tag(sync=True)  # by the reader: leaf → number
        output = traitlets.Float()

    return FlowWidget


class Watch:
    """A viewer to which a training loop sends its numbers; `flow.watch` makes it."""

    def __init__(self, model: Any = None, every: int = 1) -> None:
        if every < 1:
            raise ValueError(
                f"every must be at least 1, not {every!r}: it counts the updates from one picture to the next"
            )
        self.every = every
        self.history: list[float] = []
        self._names = {} if model is None else {value: name for name, value in named_parameters(model)}
        self._payload: Json | None = None
        self._shown: Any = None

    def __call__(self, loss: Value) -> None:
        """Show the sweep of this training step; the structure is laid out again only if it has changed."""
        self.history.append(loss.data)
        if (len(self.history) - 1) % self.every:
            return
        recorded = record(loss, names=self._names)
        history = self.history[-2000:]
        old = self._payload["record"] if self._payload else None
        if old is not None and old["nodes"] == recorded["nodes"] and old["groups"] == recorded["groups"]:
            self._payload = {**(self._payload or {}), "record": recorded, "history": history}
            if self._shown is not None:
                self._shown.numbers = to_json({"record": numbers_of(recorded), "history": history})
            return
        self._payload = {**_payload(recorded, None, None), "history": history}
        if self._shown is not None:
            self._shown.payload = to_json(self._payload)

    def widget(self) -> Any:
        """The live viewer (an anywidget); the same one at every call."""
        if self._shown is None:
            waiting = {"message": "Waiting for the first call with a loss …"}
            self._shown = _widget_class()(payload=to_json(self._payload or waiting))
        return self._shown

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the current state to a page, as `Flow.save` does.

        Raises
        ------
        ValueError
            If there has been no update yet.
        """
        if self._payload is None:
            raise ValueError("there is nothing to save yet: call the watch with a loss first")
        return _write(path, page(self._payload))

    def __repr__(self) -> str:
        return f"<watch: {len(self.history)} updates>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        return self.widget()._repr_mimebundle_(include=include, exclude=exclude)


flow = Flow
