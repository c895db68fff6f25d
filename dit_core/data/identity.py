"""What a data set holds, as one hash and those of its files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from dit_core.data.sets.built_in import built_in_sha256
from dit_core.records.data_record import DataIdentity
from dit_core.records.file_hashes import file_hashes
from dit_core.records.paths import Store
from dit_core.study.science.data import BUILT_IN, Data


def identity_of(cfg: Data, place: str | None, store: Store) -> DataIdentity | None:
    """Return what the data of `cfg` at `place` hold; None where nothing is there.

    The hash is the one that `data.sha256` pins. Files whose hash `store` keeps are not read again.
    """
    if cfg.name in BUILT_IN:
        return DataIdentity(built_in_sha256(cfg))
    if place is None or not Path(place).exists():
        return None
    return {"images": _images, "npz": _npz, "latents": _latents}[cfg.kind](Path(place), store)


def folder_sha256(digests: Mapping[str, str]) -> str:
    """Return the hash of a folder of arrays: that of the names and hashes of its .npy files."""
    lines = "".join(f"{name} {digests[name]}\n" for name in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()


def _images(root: Path, store: Store) -> DataIdentity:
    from dit_core.data.readers.images import scan

    listing = scan(root)
    digests = file_hashes(store, root.absolute(), listing.files)
    return DataIdentity(listing.sha256(digests), digests)


def _npz(root: Path, store: Store) -> DataIdentity:
    if root.is_dir():
        digests = file_hashes(store, root.absolute(), [file.name for file in root.glob("*.npy")])
        return DataIdentity(folder_sha256(digests), digests)
    digests = file_hashes(store, root.absolute().parent, [root.name])
    return DataIdentity(digests[root.name], digests)


def _latents(root: Path, store: Store) -> DataIdentity | None:
    from dit_core.data.latents.latent_set import MANIFEST

    if not (root / MANIFEST).is_file():
        return None
    # The manifest holds the hash of every shard; their sizes are compared whenever they are opened.
    digests = file_hashes(store, root.absolute(), [MANIFEST])
    return DataIdentity(digests[MANIFEST], digests)
