"""`fit(..., watch=True)`: the network while it learns."""

from __future__ import annotations

from nn.callbacks import Callback


class Watcher(Callback):
    """Placeholder until the viewer is connected."""
