"""The viewer at the end of a sweep.

The picture that stands in for the viewer where no script may run. `flow(y).save(…)` writes the viewer itself.
"""

from pathlib import Path

import autograd.math as am
from autograd import Value
from autograd.view import flow

a, b = Value(2.0, label="a"), Value(-0.5, label="b")
y = am.sin(a * b) * am.exp(-b) + a
y.label = "y"
Path("flow_still.svg").write_text(flow(y).picture(), encoding="utf-8")
