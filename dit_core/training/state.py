"""All that changes while a run trains, in one object: exactly what a checkpoint holds.

Weights, gradients, EMA and the two moments of AdamW are one flat float32 vector each, and the
network's parameters are views into the first. The optimiser, the EMA and the gradient norm are then
one operation each instead of one per parameter, which is what small networks spend their time on,
and one all-reduce moves all gradients.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from dit_core.study.science.science import Train

# Loss terms of a step; "vb" stays zero where the objective has none.
LOSS_TERMS = ("loss", "mse", "vb")
# What is summed over processes: these ride behind the gradients in their one all-reduce.
_RIDERS = (*LOSS_TERMS, "stop")
# What a row of the training curve is the mean of; the log window holds their sums, then the count
# of steps, in this order. Checkpoints keep the window, so the order must not change.
WINDOW_TERMS = (*LOSS_TERMS, "grad_norm")


class TrainState:
    """Weights, EMA, optimiser, position and log window of one run.

    `weights`, `ema`, `exp_avg`, `exp_avg_sq`: (P,) float32 on the run's device.
    `window`: (len(WINDOW_TERMS) + 1,) float64 on the CPU.
    `images_seen`: the clock of the training.
    """

    def __init__(self, model: nn.Module, train: Train) -> None:
        self.model = model
        parameters = dict(model.named_parameters())
        self.shapes = {name: parameter.shape for name, parameter in parameters.items()}
        first = next(iter(parameters.values()))
        count = sum(parameter.numel() for parameter in parameters.values())
        self.weights = torch.empty(count, dtype=torch.float32, device=first.device)
        self.reduced = torch.zeros(count + len(_RIDERS), dtype=torch.float32, device=first.device)
        self.gradients = self.reduced[:count]
        self._riders = self.reduced[count:]
        for name, view in self.named(self.weights).items():
            view.copy_(parameters[name].detach())
            parameters[name].data = view
        for name, view in self.named(self.gradients).items():
            parameters[name].grad = view
        self.ema = self.weights.clone()
        flat = nn.Parameter(self.weights, requires_grad=True)
        flat.grad = self.gradients
        self.optimizer = torch.optim.AdamW(
            [flat],
            lr=train.lr,
            betas=(train.beta1, train.beta2),
            weight_decay=train.weight_decay,
            fused=True,
        )
        # AdamW would make its state at the first step; made now, every checkpoint has the same
        # contents.
        self.exp_avg = torch.zeros_like(self.weights)
        self.exp_avg_sq = torch.zeros_like(self.weights)
        self.optimizer_steps = torch.zeros((), dtype=torch.float32, device=first.device)
        self.optimizer.state[flat] = {
            "step": self.optimizer_steps,
            "exp_avg": self.exp_avg,
            "exp_avg_sq": self.exp_avg_sq,
        }
        self.window = torch.zeros(len(WINDOW_TERMS) + 1, dtype=torch.float64)
        self.images_seen = 0
        self.published: set[Path] = set()  # checkpoints that this process wrote and hashed

    def named(self, flat: Tensor) -> dict[str, Tensor]:
        """Return views of a flat vector (P,) by parameter name, each in its parameter's shape."""
        views = {}
        start = 0
        for name, shape in self.shapes.items():
            views[name] = flat[start : start + shape.numel()].view(shape)
            start += shape.numel()
        return views

    def add_terms(self, terms: dict[str, Tensor], batch: int) -> None:
        """Add a micro-batch's loss terms (b,) to this step's means over the whole batch."""
        present = [name for name in LOSS_TERMS if name in terms]
        sums = torch.stack([terms[name].detach() for name in present]).sum(1)
        self._riders[: len(present)].add_(sums, alpha=1.0 / batch)

    def ask_stop(self, wanted: bool) -> None:
        """Vote, in this step's all-reduce, on stopping after it; one vote stops all processes."""
        if wanted:
            self._riders[_RIDERS.index("stop")] = 1.0

    def read(self, grad_norm: Tensor) -> dict[str, float]:
        """Return this step's loss terms, stop votes and gradient norm as numbers.

        This is the only place where a step waits for the device.
        """
        *riders, norm = torch.cat([self._riders, grad_norm[None]]).tolist()
        return dict(zip(_RIDERS, riders, strict=True)) | {"grad_norm": norm}
