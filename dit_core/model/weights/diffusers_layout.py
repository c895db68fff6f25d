"""Our weights in the layout of diffusers' `DiTTransformer2DModel`, by way of the released one.

diffusers splits queries, keys and values and keeps a copy of the time and label embedding in every
block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dit_core.errors import UserError
from dit_core.model.weights.released import (
    PARTS,
    Tensors,
    block_count,
    require_dit,
    some_of,
    to_released,
)
from dit_core.study.price.cost import out_channels
from dit_core.study.science.science import Science

# released: diffusers. Each has a weight and a bias.
ENDS = {
    "x_embedder.proj": "pos_embed.proj",
    "final_layer.adaLN_modulation.1": "proj_out_1",
    "final_layer.linear": "proj_out_2",
}
LAYERS = {  # in each block
    "attn.proj": "attn1.to_out.0",
    "mlp.fc1": "ff.net.0.proj",
    "mlp.fc2": "ff.net.2",
    "adaLN_modulation.1": "norm1.linear",
}
# released: diffusers. One tensor there, a copy in each block here.
SHARED = {
    "y_embedder.embedding_table.weight": "class_embedder.embedding_table.weight",
    **{
        f"t_embedder.mlp.{a}.{part}": f"timestep_embedder.linear_{b}.{part}"
        for a, b in (("0", "1"), ("2", "2"))
        for part in PARTS
    },
}


def to_diffusers(weights: Mapping[str, Tensor], science: Science) -> Tensors:
    """Return our weights under the names of diffusers' `DiTTransformer2DModel`.

    Raises UserError where diffusers has no such network. The model computes the same function there
    when it is built with `diffusers_config` and has diffusers' time frequencies
    (`model.time_frequencies`).
    """
    _require_diffusers(science)
    released = to_released(weights, science)
    out = {_theirs(name, part): released[f"{name}.{part}"] for name in ENDS for part in PARTS}
    for i in range(science.dit.depth):
        of = f"blocks.{i}"
        to = f"transformer_blocks.{i}"
        for part in PARTS:
            rows = released[f"{of}.attn.qkv.{part}"].chunk(3)
            out |= {f"{to}.attn1.to_{n}.{part}": r for n, r in zip("qkv", rows, strict=True)}
            out |= {f"{to}.{b}.{part}": released[f"{of}.{a}.{part}"] for a, b in LAYERS.items()}
        out |= {f"{to}.norm1.emb.{b}": released[a] for a, b in SHARED.items()}
    return out


def _theirs(name: str, part: str) -> str:
    return f"{ENDS[name]}.{part}"


def released_of_diffusers(given: Mapping[str, Tensor], source: str) -> Tensors:
    """Return the released layout of diffusers' weights, without `pos_embed`.

    diffusers does not store that table. Raises UserError where keys are missing or too many, or
    where the blocks hold different time or label embeddings, which diffusers can express and a DiT
    cannot.
    """
    # Some versions of diffusers store the table of positions.
    left = _Left({n: t for n, t in given.items() if n != "pos_embed.pos_embed"}, source)
    depth = block_count(given, "transformer_blocks")
    out = {ours: left.take_shared(theirs, depth) for ours, theirs in SHARED.items()}
    for part in PARTS:
        out |= {f"{name}.{part}": left.take(_theirs(name, part)) for name in ENDS}
        for i in range(depth):
            of = f"transformer_blocks.{i}"
            to = f"blocks.{i}"
            out |= {f"{to}.{a}.{part}": left.take(f"{of}.{b}.{part}") for a, b in LAYERS.items()}
            rows = [left.take(f"{of}.attn1.to_{n}.{part}") for n in "qkv"]
            out[f"{to}.attn.qkv.{part}"] = torch.cat(rows)
    if left.tensors:
        raise UserError(f"{source}: holds what no DiT has: {some_of(left.tensors)}")
    return out


@dataclass(frozen=True)
class _Left:
    """The tensors of a file that have not been taken yet."""

    tensors: Tensors
    source: str

    def take(self, name: str) -> Tensor:
        """Return a tensor once; raise UserError where there is none."""
        if name not in self.tensors:
            raise UserError(
                f"{self.source}: is no DiTTransformer2DModel of adaLN-Zero blocks: lacks {name}"
            )
        return self.tensors.pop(name)

    def take_shared(self, name: str, depth: int) -> Tensor:
        """Return a tensor of which each block holds a copy; raise UserError where they differ."""
        names = [f"transformer_blocks.{i}.norm1.emb.{name}" for i in range(max(depth, 1))]
        first, *others = map(self.take, names)
        if any(other.shape != first.shape or not torch.equal(other, first) for other in others):
            raise UserError(
                f"{self.source}: its blocks differ in {name}, which all blocks of a DiT share"
            )
        return first


def _require_diffusers(science: Science) -> None:
    require_dit(science)
    m = science.dit
    if m.positions != "sincos-2d":
        raise UserError(
            f"positions {m.positions!r} cannot be exported to diffusers, whose DiT has sincos-2d "
            "only"
        )
    if m.mlp_ratio != 4.0:
        raise UserError(
            f"mlp_ratio {m.mlp_ratio} cannot be exported to diffusers, whose DiT has 4 only"
        )
    if m.time_frequencies == "sit":
        raise UserError("a network with SiT's time frequencies has no layout to be exported to")
    if not science.train.label_dropout:
        raise UserError(
            "a network trained with label_dropout 0 has no null class and cannot be exported to "
            "diffusers, whose DiT always has one; export it with --to released"
        )


def diffusers_config(science: Science) -> dict[str, object]:
    """Return the arguments with which diffusers builds the same network (square inputs only)."""
    require_dit(science)
    m = science.dit
    data = science.data
    if data.height != data.width:
        raise UserError(
            f"input {data.height}x{data.width} cannot be exported to diffusers, whose DiT is "
            "square only"
        )
    return {
        "num_attention_heads": m.heads,
        "attention_head_dim": m.hidden // m.heads,
        "in_channels": data.channels,
        "out_channels": out_channels(science),
        "num_layers": m.depth,
        "sample_size": data.height,
        "patch_size": m.patch,
        "num_embeds_ada_norm": data.classes,
        # of the second norm of each block; diffusers' default differs from the released code
        "norm_eps": 1e-6,
    }
