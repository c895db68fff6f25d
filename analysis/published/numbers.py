"""The published numbers of the DiT paper and its followers, in the columns of one's own results.

The files lie in `results/published/` of a checkout and inside the installed package;
`results/published/README.md` is the data dictionary. Nothing here is fetched.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import pandas as pd

from analysis.published.columns import TABLES
from dit_core.errors import EnvironmentProblem, UserError, nearest
from dit_core.study.price.cost import train_flops_of
from dit_core.study.price.steps import passes
from dit_core.study.science.sampling import Sampling
from dit_core.study.science.science import Ddpm

BATCH = 256  # paper section 4
PAPER_R = -0.93  # annotation in figure 8
# what `dit_core/study/catalogue/protocols.py` calls the paper's way of measuring in section 5
PAPER_PROTOCOL = "dit-scaling"
FIG10_PROTOCOL = "dit-fig10"
PROTOCOLS = {"ft-MSE": PAPER_PROTOCOL, "ft-EMA": "paper-ft-ema"}
_CANDIDATES = (Path(__file__).parents[2] / "results" / "published", Path(__file__).parent / "data")


# How the paper samples for its scaling tables (section 4).
_SAMPLED = {"sampler": "ddpm", "steps": 250, "guidance": 1.0, "samples": 50000}
_AS_PRINTED = [
    "sfid",
    "inception_score",
    "precision",
    "recall",
    "source",
    "confidence",
    "note",
]


def folder() -> Path:
    """Return the folder of the published tables.

    Raises EnvironmentProblem where the installation lacks it.
    """
    for candidate in _CANDIDATES:
        if (candidate / "dit_scaling.csv").is_file():
            return candidate
    raise EnvironmentProblem("the published tables are not in this installation; reinstall ditlab")


def table(name: str) -> pd.DataFrame:
    """Return the published table `name` with typed columns; missing cells are NaN.

    Raises UserError on the name.
    """
    if name not in TABLES:
        known = ", ".join(TABLES)
        raise UserError(f"no published table {name!r}{nearest(name, TABLES)}; tables are {known}")
    return _read(name).copy()


@cache
def _read(name: str) -> pd.DataFrame:
    types = {c.name: c.kind for c in TABLES[name].columns}
    raw = pd.read_csv(folder() / f"{name}.csv", dtype=str, keep_default_na=False, encoding="utf-8")
    if list(raw.columns) != list(types):
        raise EnvironmentProblem(
            f"{name}.csv: columns {list(raw.columns)} are not those of its dictionary"
        )
    for column, kind in types.items():
        text = raw[column].where(~raw[column].isin(("", "-")))
        raw[column] = pd.to_numeric(text, errors="raise") if kind == "number" else text
    return raw


def data_hash() -> str:
    """Return the sha256 over all published tables, name by name: 64 hex digits."""
    digest = hashlib.sha256()
    for name in sorted(TABLES):
        digest.update(name.encode() + b"\0" + (folder() / f"{name}.csv").read_bytes())
    return digest.hexdigest()


def scaling() -> pd.DataFrame:
    """Return the twelve models of the scaling section (Table 4; 400K steps), as `points`."""
    frame = points()
    return frame[frame["kind"] == "paper_scaling12"].reset_index(drop=True)


def points() -> pd.DataFrame:
    """Return every row of Table 4 and its neighbours in the columns of one's own results.

    One row per (model, training point): run columns (`run_id`, `name`, `model_size`, `patch`,
    `conditioning`, `params`, `tokens`, `fwd_gmacs`) and evaluation columns (`images_seen`, `steps`,
    `guidance`, `protocol`, `fid`, `sfid`, `is`, `precision`, `recall`), `train_flops` spent up to
    that point (2 x 3 x MACs x images), and `kind`, `source`, `confidence`.
    """
    raw = table("dit_scaling")
    conditioning = raw["block"].str.lower()
    pixels = raw["image_resolution_px"]
    suffix = pixels.map(lambda px: "" if px == 256 else f"@{px:g}")
    model = raw["model"].str.removeprefix("DiT-") + suffix
    protocols = [_protocol(d, p) for d, p in zip(raw["vae_decoder"], pixels, strict=True)]
    columns = {
        "run_id": "published:" + model + ":" + conditioning,
        "name": raw["model"],
        "study": "published",
        "model": raw["model"],
        "model_size": raw["size"],
        "patch": raw["patch"].astype(int),
        "conditioning": conditioning,
        "objective": "ddpm",
        "params": raw["params_M"] * 1e6,
        "tokens": raw["tokens"],
        "fwd_gmacs": raw["gflops_fwd(=GMACs)"],
        "outcome": "DONE",
        "resolution": pixels,
        "images_seen": raw["train_steps_K"] * 1000 * raw["batch"],
        **_SAMPLED,
        "protocol": protocols,
        "fid": raw["fid50k"],
        "kind": raw["kind"],
        "table": raw["kind"],
    }
    same = raw[_AS_PRINTED].rename(columns={"inception_score": "is"})
    out = pd.concat([pd.DataFrame(columns), same], axis=1)
    out["train_flops"] = _train_flops(out)
    return out


def _train_flops(frame: pd.DataFrame) -> pd.Series:
    return train_flops_of(1e9, 1) * frame["fwd_gmacs"] * frame["images_seen"]


def _protocol(decoder: str, pixels: float) -> str:
    base = PROTOCOLS.get(str(decoder), "replication, decoder not stated")
    return base if pixels == 256 else f"{base}-{pixels:g}"


def _model_columns(names: pd.Series) -> pd.DataFrame:
    """Return size, patch, params and Gmacs of models named "DiT-XL/2", by Table 4."""
    known = scaling().set_index("name")[["model_size", "patch", "params", "fwd_gmacs", "tokens"]]
    return known.reindex(names).reset_index(drop=True)


def curves() -> pd.DataFrame:
    """Return FID over training, read off figures 5, 6 and 9: columns of `points` and `figure`."""
    raw = table("dit_training_curves")
    conditioning = raw["block"].str.lower()
    out = pd.DataFrame({"name": raw["model"], "model": raw["model"], "conditioning": conditioning})
    out = pd.concat([out, _model_columns(raw["model"])], axis=1)
    designs = (
        table("dit_conditioning")
        .assign(key=lambda t: t["block"].str.lower())
        .set_index("key")["gflops_table4"]
    )
    other = conditioning != "adaln-zero"
    out.loc[other, "fwd_gmacs"] = conditioning[other].map(designs)
    out["run_id"] = "published:" + raw["model"].str.removeprefix("DiT-") + ":" + conditioning
    out["images_seen"] = raw["train_steps_K"] * 1000 * BATCH
    out["train_flops"] = _train_flops(out)
    out["fid"] = raw["fid50k_digitised"]
    out["fid_low"] = raw["fid50k_digitised"] - raw["digitise_uncert_fid"]
    out["fid_high"] = raw["fid50k_digitised"] + raw["digitise_uncert_fid"]
    out["figure"] = raw["source"].str.extract(r"Fig\.(\d+)")[0].astype(int)
    out["protocol"] = PAPER_PROTOCOL
    return out.assign(
        objective="ddpm",
        steps=250,
        guidance=1.0,
        sampler="ddpm",
        source=raw["source"],
        confidence=raw["confidence"],
    )


def sampling() -> pd.DataFrame:
    """Return FID-10K by model and sampling steps, read off figure 10: columns of `points`.

    `sampling_gmacs` is per image; `fid_text` holds the two values that the text of section 5.2
    gives, which differ.
    """
    raw = table("dit_sampling_compute")
    out = pd.DataFrame({"name": raw["model"], "model": raw["model"], "conditioning": "adaln-zero"})
    out = pd.concat([out, _model_columns(raw["model"])], axis=1)
    out["run_id"] = "published:" + raw["model"].str.removeprefix("DiT-") + ":adaln-zero"
    out["images_seen"] = raw["train_steps_K"] * 1000 * BATCH
    out["train_flops"] = _train_flops(out)
    out["steps"] = raw["sampling_steps"].astype(int)
    out["sampling_gmacs"] = out["fwd_gmacs"] * out["steps"].map(_unguided_passes)
    out["fid"] = raw["fid10k_fig10_digitised"]
    out["fid_low"] = out["fid"] - raw["digitise_uncert_fid"]
    out["fid_high"] = out["fid"] + raw["digitise_uncert_fid"]
    out["fid_text"] = raw["fid10k_text"]
    out["protocol"] = FIG10_PROTOCOL
    return out.assign(
        objective="ddpm",
        guidance=1.0,
        sampler="ddpm",
        samples=10000,
        source=raw["source"],
        confidence=raw["confidence"],
    )


def _unguided_passes(steps: int) -> int:
    # Figure 10 samples without guidance; latents have four channels.
    return passes(Ddpm(), Sampling(steps=steps), 4)


def systems(pixels: int = 256) -> pd.DataFrame:
    """Return the systems of Table 2 (256 px) or Table 3 (512 px), in the paper's order."""
    raw = table(f"imagenet{pixels}")
    raw = raw[raw["source"].str.startswith(f"paper Table {2 if pixels == 256 else 3}")]
    raw = raw.rename(
        columns={
            "fid50k": "fid",
            "inception_score": "is",
            "cfg_scale": "guidance",
            "gflops": "fwd_gmacs",
        }
    )
    raw["name"] = raw["model"]
    raw["protocol"] = f"paper-systems-{pixels}"
    raw["images_seen"] = raw["train_steps_K"] * 1000 * BATCH
    return raw.reset_index(drop=True)
