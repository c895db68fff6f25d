"""What is measured: a model written "S/4", with the data that its size is meant for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from dit_core.data.memory import ArrayDataset
from dit_core.errors import UserError, nearest
from dit_core.study.science.execution import Execution
from dit_core.study.science.science import SIZES, Data, Ddpm, Model, Science, Train, dims_of

# Sizes meant for the digits; the others are for latents of images of 256 x 256 pixels.
SMALL = ("XXXS", "XXS", "XS", "T")
LATENTS = Data(
    name="latents", kind="latents", channels=4, height=32, width=32, classes=1000, images=4096
)
FOREVER = 10**7  # steps: a benchmark is stopped from outside


@dataclass(frozen=True, slots=True)
class Subject:
    """One benchmark: the model, how it is trained, on what."""

    size: str
    patch: int
    batch: int
    precision: str = "float32"
    compile: str = "off"
    threads: int = 1
    device: str = "cpu"

    @property
    def science(self) -> Science:
        """Return a training of this model that never ends by itself."""
        images = FOREVER * self.batch
        return Science(
            model=self.model,
            data=Data() if self.size in SMALL else LATENTS,
            objective=Ddpm(),
            train=Train.model_validate(
                {"images": images, "batch": self.batch, "precision": self.precision}
            ),
        )

    @property
    def model(self) -> Model:
        """Return the model of this size and patch."""
        depth, hidden, heads = dims_of(self.size)
        return Model(depth=depth, hidden=hidden, heads=heads, patch=self.patch)

    @property
    def execution(self) -> Execution:
        """Return how ours is run; a row of the curve every ten steps."""
        return Execution.model_validate(
            {"device": self.device, "compile": self.compile, "log_every_images": 10 * self.batch}
        )

    def plain(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)


def named(text: str) -> tuple[str, int]:
    """Return (size, patch) of "S/4"; raise UserError naming the known sizes."""
    size, _, patch = text.partition("/")
    if size not in SIZES:
        raise UserError(
            f"--model {text!r}: unknown size {size!r}{nearest(size, SIZES)}; sizes are "
            f"{', '.join(SIZES)}"
        )
    if patch not in ("1", "2", "4", "8"):
        raise UserError(
            f"--model {text!r}: the patch after the slash is one of 1, 2, 4, 8, as in {size}/4"
        )
    return size, int(patch)


def data_of(science: Science) -> ArrayDataset:
    """Return the digits, or random numbers of the shape of latents, in memory."""
    if science.data.kind == "digits":
        from dit_core.data.sets.digits import digits

        return ArrayDataset(*digits())
    data = science.data
    draw = torch.Generator().manual_seed(0)
    x: Tensor = torch.randn(data.images, data.channels, data.height, data.width, generator=draw)
    return ArrayDataset(x, torch.randint(0, data.classes, (data.images,), generator=draw))
