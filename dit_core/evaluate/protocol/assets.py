"""Files that ditlab does not ship (Inception weights, references, VAEs): where they lie."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dit_core.errors import EnvironmentProblem
from dit_core.records.assets import assets_folder
from dit_core.study.catalogue.protocol import Decoder, Protocol


@dataclass(frozen=True, slots=True)
class Asset:
    """A file one needs, its name in `execution.data_roots`, and where it is published."""

    key: str
    filename: str
    what: str
    url: str | None = None
    sha256_prefix: str | None = None


INCEPTION = Asset(
    key="inception",
    filename="weights-inception-2015-12-05-6726825d.pth",
    what="the Inception weights (torch-fidelity's port of the TensorFlow graph, 91 MB)",
    url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    sha256_prefix="6726825d",
)


def find_asset(asset: Asset, roots: dict[str, str] | None = None) -> Path:
    """Return the file: from `data_roots`, the assets folder, torch's cache, or downloaded.

    Raises EnvironmentProblem, one line that says which file to put where, when none of these has
    it.
    """
    given = (roots or {}).get(asset.key)
    found = local_asset(asset, roots)
    if found is None and given is not None:
        raise EnvironmentProblem(
            f"execution.data_roots.{asset.key} is {given!r}, but there is no such file; "
            f"{_remedy(asset)}"
        )
    return found or _download(asset, assets_folder() / asset.filename)


def local_asset(asset: Asset, roots: dict[str, str] | None = None) -> Path | None:
    """Return the file on this machine, where `roots` put it if they do; None without one."""
    given = (roots or {}).get(asset.key)
    if given is not None:
        path = Path(given)
        places = [path / asset.filename if path.is_dir() else path]
    else:
        places = [assets_folder() / asset.filename, _torch_cache() / asset.filename]
    return next((place for place in places if place.is_file()), None)


def reference_asset(protocol: Protocol, data: str | None) -> Asset:
    """Return the file of a protocol's reference statistics; `data` names the study's data set."""
    name = data if protocol.reference == "data" else protocol.reference
    whose = f" --name {name} --size PIXELS" if protocol.reference == "data" else ""
    made_by = f"made by `ditlab reference IMAGES --protocol {protocol.name}{whose}`"
    return Asset(
        f"reference-{name}",
        f"reference-{name}.safetensors",
        f"reference statistics {name!r} ({made_by})",
    )


def decoder_place(decoder: Decoder, roots: dict[str, str] | None) -> str:
    """Return where the VAE is: `data_roots`, the assets folder, else the pinned hub."""
    name = decoder.hub.rpartition("/")[2]
    given = (roots or {}).get(name)
    if given is not None:
        return given
    local: Path = assets_folder() / name
    if local.is_dir():
        return str(local)
    if os.environ.get("DITLAB_OFFLINE"):
        raise EnvironmentProblem(
            f"the decoder {decoder.hub} is not on this machine; put its config.json and "
            f"diffusion_pytorch_model.safetensors (revision {decoder.revision}) into {local}, "
            f"or name their folder in execution.data_roots.{name}"
        )
    return f"{decoder.hub}@{decoder.revision}"


def _torch_cache() -> Path:
    home = os.environ.get("TORCH_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or "~/.cache", "torch"
    )
    return Path(home).expanduser() / "hub" / "checkpoints"


def _download(asset: Asset, target: Path) -> Path:
    """Fetch the asset to `target`; raise EnvironmentProblem with the remedy if it cannot."""
    if asset.url is None or os.environ.get("DITLAB_OFFLINE"):
        raise EnvironmentProblem(f"{asset.what} not found; {_remedy(asset)}")
    from torch.hub import download_url_to_file

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        download_url_to_file(
            asset.url, str(target), hash_prefix=asset.sha256_prefix, progress=False
        )
    except (OSError, RuntimeError) as error:
        raise EnvironmentProblem(
            f"{asset.what} could not be downloaded ({error}); {_remedy(asset)}"
        ) from error
    return target


def _remedy(asset: Asset) -> str:
    source = f"get {asset.url} and " if asset.url else ""
    place = assets_folder() / asset.filename
    return f"{source}put it at {place}, or name its place in execution.data_roots.{asset.key}"
