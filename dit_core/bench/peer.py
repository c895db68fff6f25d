"""The peer: diffusers' DiT in a plain PyTorch loop, as public DiT scripts train and sample it.

float32, AdamW with its defaults, an EMA kept parameter by parameter, guidance by doubling the
batch. It is given our objective and its batches as ready tensors, so that what is compared is the
network and the loop.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dit_core.bench.subject import Subject, data_of
from dit_core.diffusion.objective import make_objective
from dit_core.model.conditions import Conditions
from dit_core.study.price.cost import out_channels

Step = Callable[[], None]


def network(subject: Subject) -> nn.Module:
    """Return diffusers' DiT of the subject's shape."""
    from diffusers import DiTTransformer2DModel

    science = subject.science
    model = subject.model
    data = science.data
    made: Any = DiTTransformer2DModel(
        num_attention_heads=model.heads,
        attention_head_dim=model.hidden // model.heads,
        in_channels=data.channels,
        out_channels=out_channels(science),
        num_layers=model.depth,
        sample_size=data.height,
        patch_size=model.patch,
        num_embeds_ada_norm=data.classes,
    )
    network: nn.Module = made.to(subject.device)
    return network


def training(subject: Subject, *, gradients_only: bool = False) -> Step:
    """Return one training step of the peer, or its forward and backward pass alone."""
    if subject.device == "cuda":
        # as public DiT scripts do
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    science = subject.science
    device = torch.device(subject.device)
    model = network(subject)
    ema = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0)
    objective = make_objective(science.objective)
    data = data_of(science)
    images, labels = (part.to(device) for part in (data._x, data._y))
    batch = subject.batch

    def call(x: Tensor, t: Tensor, y: Tensor | Conditions) -> Tensor:
        out: Tensor = model(x, timestep=t.long(), class_labels=y).sample
        return out

    def step() -> None:
        index = torch.randint(0, len(images), (batch,), device=device)
        x = images[index]
        y = labels[index]
        u = torch.rand(batch, device=device)
        noise = torch.randn_like(x)
        loss = objective.loss(call, x, u, noise, y)["loss"].mean()
        optimizer.zero_grad()
        loss.backward()
        if gradients_only:
            return
        optimizer.step()
        with torch.no_grad():
            for kept, new in zip(ema.parameters(), model.parameters(), strict=True):
                kept.mul_(0.9999).add_(new, alpha=1e-4)
        loss.item()

    return step


def sampling(subject: Subject, steps: int, guidance: float) -> Step:
    """Return the making of one batch of guided DDIM samples, as in diffusers' DiT pipeline."""
    from diffusers import DDIMScheduler

    science = subject.science
    device = torch.device(subject.device)
    data = science.data
    batch = subject.batch
    model = network(subject).eval()
    scheduler: Any = DDIMScheduler(num_train_timesteps=1000, clip_sample=False)
    scheduler.set_timesteps(steps)
    labels = torch.arange(batch, device=device) % data.classes
    both = torch.cat([labels, torch.full_like(labels, data.classes)])

    @torch.no_grad()
    def make() -> None:
        x = torch.randn(batch, data.channels, data.height, data.width, device=device)
        for t in scheduler.timesteps:
            pair = torch.cat([x, x])
            out = model(pair, timestep=t.to(device).expand(2 * batch), class_labels=both).sample
            noise, _ = out.split(data.channels, dim=1)
            conditional, unconditional = noise.chunk(2)
            guided = unconditional + guidance * (conditional - unconditional)
            x = scheduler.step(guided, t, x).prev_sample

    return make
