"""Data held against what a study says of them."""

from __future__ import annotations

from collections.abc import Callable

from dit_core.errors import DataError
from dit_core.study.science.data import Data


def check(cfg: Data, where: str, shape: tuple[int, ...], images: int, classes: int) -> None:
    """Raise DataError naming each value in which the data differ from the study's `data`."""
    stated = {
        "channels": cfg.channels,
        "height": cfg.height,
        "width": cfg.width,
        "images": cfg.images,
    }
    found = dict(zip(stated, (*shape, images), strict=True)) | {"classes": classes}
    stated["classes"] = cfg.classes
    wrong = [
        f"data.{k} is {stated[k]} but there are {v}" for k, v in found.items() if stated[k] != v
    ]
    if wrong:
        remedy = ", ".join(f"{k}: {v}" for k, v in found.items())
        raise DataError(f"{where}: {'; '.join(wrong)}; write data: {{{remedy}}}")


def check_hash(cfg: Data, where: str, found: Callable[[], str]) -> None:
    """Raise DataError where `data.sha256` is given and is not the hash that `found` computes."""
    if cfg.sha256 is not None and (digest := found()) != cfg.sha256:
        raise DataError(
            f"{where}: its sha256 is {digest}, data.sha256 says {cfg.sha256}: these are other data"
        )
