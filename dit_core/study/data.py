"""What is trained on, as far as it changes the numbers of a run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dit_core.study.frozen import Frozen, Positive


class Data(Frozen):
    """What is trained on. Where it lies is execution (`execution.data_roots`), what it is is science."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = "digits"
    """Name of the data set: "digits" is built in; any other is looked up in `execution.data_roots`."""
    kind: Literal["digits", "images", "npz", "latents"] = "digits"
    """How it is stored: built in, image folders, an .npz of arrays, or shards of VAE latents (`ditlab encode`)."""
    channels: Positive = 1
    """Channels C of one sample as the network sees it."""
    height: Positive = 8
    """Height H of one sample as the network sees it (a latent's, not the image's)."""
    width: Positive = 8
    """Width W of one sample as the network sees it."""
    classes: Positive = 10
    """Number of labels; the null class of guidance comes on top."""
    images: Positive = 1797
    """Number of training samples; an epoch is this many images."""
    flip: bool = False
    """Flip each sample left-right with probability one half (the paper does on ImageNet; digits must not)."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Hash of the data's manifest; checked at the start of a run when given."""
