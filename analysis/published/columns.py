"""The data dictionary of `results/published`: kind, unit and meaning of every column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `kind` is how the loader types it, `unit` is "" for words."""

    name: str
    kind: Literal["text", "number"]
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Table:
    """One file and what it holds."""

    what: str
    columns: tuple[Column, ...]


def _text(name: str, meaning: str) -> Column:
    return Column(name, "text", "", meaning)


def _number(name: str, unit: str, meaning: str) -> Column:
    return Column(name, "number", unit, meaning)


_MODEL = _text("model", "name of the model as printed")
_BLOCK = _text("block", "conditioning design (figure 3)")
_PARAMS = _number("params_M", "10^6", "parameters as printed")
_STEPS = _number(
    "train_steps_K", "10^3 steps", "training steps; batch 256 unless a column says otherwise"
)
_FID = _number("fid50k", "FID", "FID from 50,000 samples; lower is better")
_QUALITY = (
    _number("sfid", "sFID", "spatial FID; lower is better"),
    _number("inception_score", "IS", "Inception score; higher is better"),
    _number("precision", "1", "precision; higher is better"),
    _number("recall", "1", "recall; higher is better"),
)
_SOURCE = _text("source", "where the number was read; P1 to P4 are explained in facts.md")
_CONFIDENCE = _text("confidence", "quoted, requoted, derived, derived-digitised or unverified")
_NOTE = _text("note", "remark; empty where there is none")
_TAIL = (_SOURCE, _CONFIDENCE, _NOTE)
_CFG = _number(
    "cfg_scale", "1", "classifier-free guidance scale; 1.0 is none; empty where the system has none"
)
_GFLOPS = _number(
    "gflops", "10^9 MACs", "forward pass; the paper's Gflops are multiply-accumulates"
)
_SYSTEM = (
    _MODEL,
    _CFG,
    _STEPS,
    _GFLOPS,
    _FID,
    *_QUALITY,
    _text("vae_decoder", "fine-tuning of the VAE decoder: ft-MSE, ft-EMA or not stated"),
    _text("kind", "paper: printed in Table 2 or 3; repo, followup: elsewhere"),
    *_TAIL,
)

TABLES: dict[str, Table] = {
    "correlations": Table(
        "Correlations of figures 8 and 12, and their recomputation.",
        (
            _text("quantity", "what is correlated"),
            _SOURCE,
            _text("value", "coefficient, coefficients or interval"),
            _CONFIDENCE,
            _NOTE,
        ),
    ),
    "dit_conditioning": Table(
        "The four conditioning designs at XL/2 and 400K steps (section 5, Table 4, figure 5).",
        (
            _MODEL,
            _BLOCK,
            _number("gflops_text_1dp", "10^9 MACs", "as in the text of section 5"),
            _number("gflops_table4", "10^9 MACs", "as in Table 4"),
            _PARAMS,
            _STEPS,
            _FID,
            _number("fid50k_digitised_fig5@400K", "FID", "read off figure 5 at 400K steps"),
            *_TAIL,
        ),
    ),
    "dit_configs": Table(
        "Table 1: the four model sizes.",
        (
            _MODEL,
            _number("layers_N", "blocks", "depth"),
            _number("hidden_d", "channels", "width of a token"),
            _number("heads", "heads", "attention heads"),
            _number("head_dim_derived", "channels", "hidden / heads"),
            _number("mlp_ratio(code)", "1", "feed-forward width / hidden, from the released code"),
            _GFLOPS,
            _text("gflops_at", "input side and patch the Gflops are for"),
            _SOURCE,
            _CONFIDENCE,
        ),
    ),
    "dit_sampling_compute": Table(
        "Figure 10: FID-10K of the twelve models at six numbers of sampling steps, read off the "
        "figure.",
        (
            _MODEL,
            _number("sampling_steps", "steps", "DDPM sampling steps"),
            _number("sampling_Gflops_per_image_derived", "10^9 MACs", "Table 4 Gflops x steps"),
            _number("sampling_Tflops_per_image_derived", "10^12 MACs", "the same in 10^12"),
            _number(
                "fid10k_text",
                "FID",
                "FID-10K as in the text of section 5.2; disagrees with the figure",
            ),
            _number("fid10k_fig10_digitised", "FID", "FID-10K read off figure 10"),
            _number("digitise_uncert_fid", "FID", "half width of the reading error"),
            _text("marker_partly_hidden", "yes where another marker covers part of this one"),
            _number("n_samples", "images", "samples per FID"),
            _STEPS,
            _text("guidance", "none: no guidance"),
            *_TAIL,
        ),
    ),
    "dit_scaling": Table(
        "Table 4 and its neighbours: `kind` = paper_scaling12 is the twelve models of figure 8.",
        (
            _text(
                "kind",
                "paper_scaling12, paper_conditioning, paper_longer_or_512, paper_table2, "
                "paper_table3, "
                "authors_pytorch or third_party_replication",
            ),
            _MODEL,
            _text("size", "S, B, L or XL"),
            _number("patch", "latent elements", "patch side p"),
            _number("image_resolution_px", "px", "side of the image"),
            _text("latent", "shape of the VAE latent"),
            _number("tokens", "tokens", "sequence length"),
            _number("layers", "blocks", "depth"),
            _number("hidden", "channels", "width"),
            _number("heads", "heads", "attention heads"),
            _BLOCK,
            _PARAMS,
            _number("gflops_fwd(=GMACs)", "10^9 MACs", "forward pass as printed"),
            _STEPS,
            _number("batch", "images", "images per step"),
            _number("lr", "1", "learning rate"),
            _text("vae_decoder", "fine-tuning of the VAE decoder"),
            _text("cfg", "guidance"),
            _FID,
            *_QUALITY,
            _number("params_M_derived", "10^6", "parameters by closed form"),
            _number("gmacs_derived", "10^9 MACs", "forward pass by closed form"),
            _number(
                "train_compute_Gflops_derived",
                "10^9 MACs",
                "figure 9's axis: Gflops x batch x steps x 3",
            ),
            _number("fid50k_digitised_fig8", "FID", "read off figure 8"),
            *_TAIL,
        ),
    ),
    "dit_training_curves": Table(
        "Figures 5, 6 and 9: FID over training steps and compute, read off the figures.",
        (
            _MODEL,
            _BLOCK,
            _STEPS,
            _number("fid50k_digitised", "FID", "FID-50K read off the figure"),
            _number("digitise_uncert_fid", "FID", "half width of the reading error"),
            _number("fid50k_table4", "FID", "printed value where there is one"),
            _number("train_compute_Gflops(=G*256*steps*3)", "10^9 MACs", "figure 9's axis"),
            _SOURCE,
            _CONFIDENCE,
        ),
    ),
    "document_claims": Table(
        "Forty-two statements often repeated about DiT, compared with the paper and its code.",
        (
            _number("id", "1", "number of the statement"),
            _text("topic", "what it is about"),
            _text("document", "name of the text that makes the statement"),
            _text("document_says", "the statement"),
            _text("paper_or_code_says", "what the paper or its code says"),
            _text("evidence", "where"),
            _text("remark", "assessment"),
            _text(
                "status",
                "confirmed, imprecise, contradicted, unsupported, missing or different system",
            ),
        ),
    ),
    "followups": Table(
        "Published values of later work: SiT, REPA, U-DiT, MDT, DiG, MaskDiT, FiT, U-ViT, "
        "LightningDiT and others.",
        (
            _MODEL,
            _text("method", "method or table"),
            _PARAMS,
            _GFLOPS,
            _text("train_steps_K", '10^3 steps as a number, or words such as "240 epochs"'),
            _number("batch", "images", "images per step"),
            _text("cfg", "guidance scale or words"),
            _FID,
            *_QUALITY,
            _number("resolution", "px", "side of the image"),
            *_TAIL,
        ),
    ),
    "gflops_unet_baselines": Table(
        "Table 6: forward Gflops of the U-Net baselines (diffusion network only).",
        (
            _MODEL,
            _text("resolution", "image resolution as printed"),
            _number("base_gflops", "10^9 MACs", "base network"),
            _number("upsampler_gflops", "10^9 MACs", "upsampler"),
            _number("total_gflops", "10^9 MACs", "both"),
            *_TAIL,
        ),
    ),
    "imagenet256": Table("Table 2 (256 px) and other published values at 256 px.", _SYSTEM),
    "imagenet512": Table("Table 3 (512 px) and other published values at 512 px.", _SYSTEM),
    "vae_decoder": Table(
        "Table 5: XL/2-G, 7M steps, with three VAE decoders.",
        (_MODEL, _CFG, _STEPS, _text("decoder", "VAE decoder"), _FID, *_QUALITY, *_TAIL),
    ),
}


def data_dictionary() -> str:
    """Return `results/published/README.md`: what each file and column holds."""
    parts = [_PREFACE]
    for name, table in TABLES.items():
        parts.append(
            f"## {name}.csv\n\n{table.what}\n\n| column | kind | unit | meaning "
            "|\n|---|---|---|---|"
        )
        parts[-1] += "".join(
            f"\n| `{c.name}` | {c.kind} | {c.unit or '-'} | {c.meaning} |" for c in table.columns
        )
    return "\n\n".join(parts) + "\n"


_PREFACE = """# The published numbers

Every number of the Diffusion Transformer paper (Peebles & Xie, "Scalable Diffusion Models with
Transformers", arXiv 2212.09748) that this project uses, with its source and how far it can be
trusted, and the published values of later work. `analysis/published/numbers.py` reads these files
with the types below; an empty cell is missing, never zero. `facts.md` explains the sources, the
protocol behind the numbers and their known oddities.

* **Gflops are multiply-accumulates** in this paper (a count from the released code agrees to
  0.2 %). In ditlab's own tables the same number is `fwd_gmacs`, and `train_flops` =
  2 x 3 x MACs x images.
* **FID-50K and FID-10K, and the ft-MSE and ft-EMA decoders, are different measurements** and never
  share an axis.
* `confidence`: *quoted* (read in the source itself or in two or more copies of it), *requoted*
  (another paper or note), *derived*, *derived-digitised* (read off a figure's image), *unverified*
  (from memory).

This page is generated: `python -m analysis.published.columns > results/published/README.md`."""

if __name__ == "__main__":
    print(data_dictionary(), end="")
