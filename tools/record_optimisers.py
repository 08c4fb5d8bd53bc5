"""Write tests/torch_optimisers.json: a hundred steps of each of PyTorch's optimisers, to compare ours with.

    python tools/record_optimisers.py

Run it in an environment with PyTorch, which the tests themselves do not need.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

STEPS = 100
START = [3.0, -2.0, 0.5]
TARGETS, WEIGHTS = [1.0, 1.0, -1.0], [1.0, 10.0, 0.1]
FILE = Path(__file__).resolve().parents[1] / "tests" / "torch_optimisers.json"

# Our optimiser by name and arguments; PyTorch's, and its learning-rate schedule, as functions.
CASES: list[tuple[str, dict[str, Any], Any, Any]] = [
    ("SGD", {"learning_rate": 0.01}, lambda p: torch.optim.SGD(p, lr=0.01), None),
    ("SGD", {"learning_rate": 0.01, "momentum": 0.9}, lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9), None),
    (
        "SGD",
        {"learning_rate": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.1),
        None,
    ),
    ("RMSProp", {"learning_rate": 0.02}, lambda p: torch.optim.RMSprop(p, lr=0.02), None),
    (
        "RMSProp",
        {"learning_rate": 0.02, "smoothing": 0.9, "epsilon": 1e-6, "momentum": 0.5, "weight_decay": 0.1},
        lambda p: torch.optim.RMSprop(p, lr=0.02, alpha=0.9, eps=1e-6, momentum=0.5, weight_decay=0.1),
        None,
    ),
    ("Adagrad", {"learning_rate": 0.3}, lambda p: torch.optim.Adagrad(p, lr=0.3), None),
    (
        "Adagrad",
        {"learning_rate": 0.3, "epsilon": 1e-4, "weight_decay": 0.1},
        lambda p: torch.optim.Adagrad(p, lr=0.3, eps=1e-4, weight_decay=0.1),
        None,
    ),
    ("Adam", {"learning_rate": 0.05}, lambda p: torch.optim.Adam(p, lr=0.05), None),
    (
        "Adam",
        {"learning_rate": 0.05, "betas": (0.8, 0.95), "epsilon": 1e-4, "weight_decay": 0.1},
        lambda p: torch.optim.Adam(p, lr=0.05, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.1),
        None,
    ),
    ("AdamW", {"learning_rate": 0.05}, lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.01), None),
    (
        "AdamW",
        {"learning_rate": 0.05, "weight_decay": 0.5, "clip_norm": 2.0},
        lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.5),
        None,
    ),
    ("SGD", {"learning_rate": 0.05, "clip_norm": 1.5}, lambda p: torch.optim.SGD(p, lr=0.05), None),
    (
        "SGD",
        {"learning_rate": ["step_decay", {"rate": 0.05, "every": 7, "factor": 0.5}]},
        lambda p: torch.optim.SGD(p, lr=0.05),
        lambda o: torch.optim.lr_scheduler.StepLR(o, step_size=7, gamma=0.5),
    ),
    (
        "Adam",
        {"learning_rate": ["cosine", {"rate": 0.05, "steps": 100, "lowest": 0.001}]},
        lambda p: torch.optim.Adam(p, lr=0.05),
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=100, eta_min=0.001),
    ),
    (
        "Adam",
        {"learning_rate": ["warm_up", {"then": 0.05, "steps": 20}]},
        lambda p: torch.optim.Adam(p, lr=0.05),
        lambda o: torch.optim.lr_scheduler.LinearLR(o, start_factor=1 / 20, end_factor=1.0, total_iters=19),
    ),
]


def steps(options: dict[str, Any], make: Any, schedule: Any) -> list[list[float]]:
    """The parameters after each step on Σ w (p - t)² + sin(p)."""
    parameters = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    targets, weights = torch.tensor(TARGETS, dtype=torch.float64), torch.tensor(WEIGHTS, dtype=torch.float64)
    optimiser = make([parameters])
    scheduler = schedule(optimiser) if schedule else None
    found = []
    for _ in range(STEPS):
        optimiser.zero_grad()
        (weights * (parameters - targets) ** 2 + torch.sin(parameters)).sum().backward()
        if "clip_norm" in options:
            torch.nn.utils.clip_grad_norm_([parameters], options["clip_norm"])
        optimiser.step()
        if scheduler is not None:
            scheduler.step()
        found.append(parameters.detach().tolist())
    return found


if __name__ == "__main__":
    cases = [
        {"optimiser": name, "options": options, "steps": steps(options, make, schedule)}
        for name, options, make, schedule in CASES
    ]
    problem = {"start": START, "targets": TARGETS, "weights": WEIGHTS}
    text = json.dumps({"pytorch": torch.__version__, **problem, "cases": cases}, indent=None)
    FILE.write_text(text.replace('{"optimiser"', '\n{"optimiser"') + "\n", encoding="utf-8")
