"""The frozen VAE of latent diffusion: found, identified, loaded from safetensors only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dit_core.data.latents.latent_set import VaeIdentity
from dit_core.errors import DataError, EnvironmentProblem, UserError
from dit_core.records.disk.files import read_json, sha256_of

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

WEIGHTS = "diffusion_pytorch_model.safetensors"
CONFIG = "config.json"


@dataclass(frozen=True)
class VaeFolder:
    """A VAE on this machine, described without loading it."""

    path: Path
    identity: VaeIdentity
    config: dict[str, Any]

    @property
    def scale(self) -> float:
        """Return the factor that brings latents to unit variance: 0.18215 for the paper's VAE."""
        return float(self.config.get("scaling_factor", 0.18215))

    def latent_shape(self, size: int) -> tuple[int, int, int]:
        """Return (C, h, w) of the latent of a square image; UserError where it does not fit."""
        factor = 2 ** (len(self.config["block_out_channels"]) - 1)
        if size <= 0 or size % factor:
            raise UserError(
                f"--size {size} is not a multiple of {factor}, the factor by which this VAE "
                "shrinks images"
            )
        return int(self.config.get("latent_channels", 4)), size // factor, size // factor

    def load(self, device: str) -> AutoencoderKL:
        """Return the VAE in float32, frozen; DataError where the files make no AutoencoderKL."""
        import torch
        from diffusers import AutoencoderKL

        options = {
            "use_safetensors": True,
            "torch_dtype": torch.float32,
            "low_cpu_mem_usage": False,
        }
        try:
            vae = AutoencoderKL.from_pretrained(self.path, **options)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise DataError(f"{self.path}: does not load as AutoencoderKL ({error})") from error
        return vae.requires_grad_(False).eval().to(device)


def find_vae(name: str) -> VaeFolder:
    """Return the VAE given as a local folder or as OWNER/NAME@REVISION of the hub.

    Raises UserError for a hub name without a revision (what it names may change),
    EnvironmentProblem where a folder lacks its files or the hub cannot be reached, DataError for a
    VAE that shifts its latents as well.
    """
    folder = Path(name)
    source = "folder"
    if not folder.is_dir():
        folder = _from_hub(name)
        source = name
    for file in (CONFIG, WEIGHTS):
        if not (folder / file).is_file():
            raise EnvironmentProblem(
                f"{folder}: has no {file}; wanted is a folder written by AutoencoderKL"
            )
    config = read_json(folder / CONFIG)
    named = isinstance(config, dict) and config.get("_class_name") == "AutoencoderKL"
    if not named or not config.get("block_out_channels"):
        raise DataError(f"{folder / CONFIG}: is not the configuration of an AutoencoderKL")
    if config.get("shift_factor") or config.get("latents_mean"):
        raise DataError(
            f"{folder}: shifts its latents as well as scaling them, which the latent shards do not "
            "record"
        )
    hashes = {
        "weights_sha256": sha256_of(folder / WEIGHTS),
        "config_sha256": sha256_of(folder / CONFIG),
    }
    return VaeFolder(folder, VaeIdentity(source=source, **hashes), config)


def _from_hub(name: str) -> Path:
    hub, _, revision = name.partition("@")
    if not revision or hub.count("/") != 1 or hub.startswith((".", "/")):
        raise UserError(
            f"--vae {name!r} is neither a folder here nor OWNER/NAME@REVISION; a hub name needs "
            "its revision pinned, "
            "as in stabilityai/sd-vae-ft-ema@COMMIT"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub, revision=revision, allow_patterns=[CONFIG, WEIGHTS]))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EnvironmentProblem(
            f"--vae {name!r}: not to be had from the hub ({reason}); give a folder"
        ) from error
