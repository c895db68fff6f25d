"""The same weights in the layouts of others: released DiT `.pt`, diffusers' DiTTransformer2DModel.

Both have one modulation layer per block where ours stacks several; diffusers besides splits
queries, keys and values and keeps a copy of the time and label embedding in every block. Nothing is
computed: rows are cut and put together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from dit_core.errors import UserError
from dit_core.model.build import build_model
from dit_core.model.embeddings import fixed_positions
from dit_core.model.modulation import modulation_groups
from dit_core.study.catalogue.designs import DESIGNS, design_of
from dit_core.study.price.cost import out_channels
from dit_core.study.science.science import Science

Tensors = dict[str, Tensor]

# ours: released. Both layers of a pair have a weight and a bias.
ENDS = {
    "t_embedder.fc1": "t_embedder.mlp.0",
    "t_embedder.fc2": "t_embedder.mlp.2",
    "final": "final_layer.linear",
}
LAYERS = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
# released: diffusers.
DIFFUSERS_LAYERS = {
    "attn.proj": "attn1.to_out.0",
    "mlp.fc1": "ff.net.0.proj",
    "mlp.fc2": "ff.net.2",
}
PARTS = ("weight", "bias")


def to_released(weights: Mapping[str, Tensor], science: Science) -> Tensors:
    """Return our weights under the names and in the shapes of the released code.

    Raises UserError where the released code has no such network.
    """
    _require_released(science)
    m = science.dit
    d = science.dit.hidden
    n = 6
    proj = weights["x_embedder.weight"]
    out = {
        "pos_embed": _positions(weights, science)[None],
        "x_embedder.proj.weight": proj.reshape(d, science.data.channels, m.patch, m.patch),
        "x_embedder.proj.bias": weights["x_embedder.bias"],
        "y_embedder.embedding_table.weight": weights["y_embedder.weight"],
    }
    for part in PARTS:
        out |= {f"{theirs}.{part}": weights[f"{ours}.{part}"] for ours, theirs in ENDS.items()}
        rows = torch.cat(
            [weights[f"modulation.linears.{g}.{part}"] for g in range(len(_groups(science)))]
        )
        for i in range(m.depth):
            out |= {
                f"blocks.{i}.{layer}.{part}": weights[f"blocks.{i}.{layer}.{part}"]
                for layer in LAYERS
            }
            out[f"blocks.{i}.adaLN_modulation.1.{part}"] = rows[i * n * d : (i + 1) * n * d]
        out[f"final_layer.adaLN_modulation.1.{part}"] = rows[m.depth * n * d :]
    return out


def from_released(released: Mapping[str, Tensor], science: Science, source: str) -> Tensors:
    """Return our weights, float32, from the released layout; `source` names the file in errors.

    Raises UserError naming keys that are missing, too many or of another shape than `science`'s
    network has.
    """
    require_layout(released, layout_of(science), source)
    given = {name: tensor.detach().float() for name, tensor in released.items()}
    m = science.dit
    proj = given["x_embedder.proj.weight"]
    out = {
        "x_embedder.weight": proj.flatten(1),
        "x_embedder.bias": given["x_embedder.proj.bias"],
        "y_embedder.weight": given["y_embedder.embedding_table.weight"],
    }
    if m.positions == "learned":
        out["positions"] = given["pos_embed"][0]
    for part in PARTS:
        out |= {f"{ours}.{part}": given[f"{theirs}.{part}"] for ours, theirs in ENDS.items()}
        for i in range(m.depth):
            out |= {
                f"blocks.{i}.{layer}.{part}": given[f"blocks.{i}.{layer}.{part}"]
                for layer in LAYERS
            }
        rows = [given[f"blocks.{i}.adaLN_modulation.1.{part}"] for i in range(m.depth)]
        stacked = torch.cat([*rows, given[f"final_layer.adaLN_modulation.1.{part}"]])
        sizes = [count * m.hidden for count in _groups(science)]
        pieces: Sequence[Tensor] = torch.split(stacked, sizes)
        out |= {f"modulation.linears.{g}.{part}": piece for g, piece in enumerate(pieces)}
    return {name: tensor.contiguous() for name, tensor in out.items()}


def to_diffusers(weights: Mapping[str, Tensor], science: Science) -> Tensors:
    """Return our weights under the names of diffusers' `DiTTransformer2DModel`.

    Raises UserError where diffusers has no such network. The model computes the same function there
    when it is built with `diffusers_config` and has diffusers' time frequencies
    (`model.time_frequencies`).
    """
    _require_dit(science)
    if science.dit.positions != "sincos-2d":
        raise UserError(
            f"positions {science.dit.positions!r} cannot be exported to diffusers, whose DiT has "
            "sincos-2d only"
        )
    if science.dit.mlp_ratio != 4.0:
        raise UserError(
            f"mlp_ratio {science.dit.mlp_ratio} cannot be exported to diffusers, whose DiT has 4 "
            "only"
        )
    released = to_released(weights, science)
    out: Tensors = {}
    for part in PARTS:
        out[f"pos_embed.proj.{part}"] = released[f"x_embedder.proj.{part}"]
        out[f"proj_out_1.{part}"] = released[f"final_layer.adaLN_modulation.1.{part}"]
        out[f"proj_out_2.{part}"] = released[f"final_layer.linear.{part}"]
        for i in range(science.dit.depth):
            to = f"transformer_blocks.{i}"
            of = f"blocks.{i}"
            out |= {
                f"{to}.{b}.{part}": released[f"{of}.{a}.{part}"]
                for a, b in DIFFUSERS_LAYERS.items()
            }
            for name, rows in zip("qkv", released[f"{of}.attn.qkv.{part}"].chunk(3), strict=True):
                out[f"{to}.attn1.to_{name}.{part}"] = rows
            out[f"{to}.norm1.linear.{part}"] = released[f"{of}.adaLN_modulation.1.{part}"]
            for a, b in (("0", "1"), ("2", "2")):
                out[f"{to}.norm1.emb.timestep_embedder.linear_{b}.{part}"] = released[
                    f"t_embedder.mlp.{a}.{part}"
                ]
    for i in range(science.dit.depth):
        name = f"transformer_blocks.{i}.norm1.emb.class_embedder.embedding_table.weight"
        out[name] = released["y_embedder.embedding_table.weight"]
    return out


def released_of_diffusers(given: Mapping[str, Tensor], source: str) -> Tensors:
    """Return the released layout of diffusers' weights, without `pos_embed`.

    diffusers does not store that table. Raises UserError where keys are missing or too many, or
    where the blocks hold different time or label embeddings, which diffusers can express and a DiT
    cannot.
    """
    left = {
        n: t for n, t in given.items() if n != "pos_embed.pos_embed"
    }  # a table that some versions store
    depth = block_count(left, "transformer_blocks")
    out = {}

    def take(name: str) -> Tensor:
        if name not in left:
            raise UserError(
                f"{source}: is no DiTTransformer2DModel of adaLN-Zero blocks: lacks {name}"
            )
        return left.pop(name)

    def take_shared(name: str) -> Tensor:
        first, *others = (take(f"transformer_blocks.{i}.norm1.emb.{name}") for i in range(depth))
        if any(other.shape != first.shape or not torch.equal(other, first) for other in others):
            raise UserError(
                f"{source}: its blocks differ in {name}, which all blocks of a DiT share"
            )
        return first

    out["y_embedder.embedding_table.weight"] = take_shared("class_embedder.embedding_table.weight")
    for part in PARTS:
        out[f"x_embedder.proj.{part}"] = take(f"pos_embed.proj.{part}")
        out[f"final_layer.adaLN_modulation.1.{part}"] = take(f"proj_out_1.{part}")
        out[f"final_layer.linear.{part}"] = take(f"proj_out_2.{part}")
        out[f"t_embedder.mlp.0.{part}"] = take_shared(f"timestep_embedder.linear_1.{part}")
        out[f"t_embedder.mlp.2.{part}"] = take_shared(f"timestep_embedder.linear_2.{part}")
        for i in range(depth):
            of = f"transformer_blocks.{i}"
            to = f"blocks.{i}"
            out |= {
                f"{to}.{a}.{part}": take(f"{of}.{b}.{part}") for a, b in DIFFUSERS_LAYERS.items()
            }
            out[f"{to}.attn.qkv.{part}"] = torch.cat(
                [take(f"{of}.attn1.to_{n}.{part}") for n in "qkv"]
            )
            out[f"{to}.adaLN_modulation.1.{part}"] = take(f"{of}.norm1.linear.{part}")
    if left:
        raise UserError(f"{source}: holds what no DiT has: {_some(left)}")
    return out


def diffusers_config(science: Science) -> dict[str, object]:
    """Return the arguments with which diffusers builds the same network (square inputs only)."""
    _require_dit(science)
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


def layout_of(science: Science) -> dict[str, torch.Size]:
    """Return name to shape of the released layout of a network; no weights are built."""
    with torch.device("meta"):
        network = build_model(science)
        return {
            name: tensor.shape
            for name, tensor in to_released(network.state_dict(), science).items()
        }


def require_layout(
    given: Mapping[str, Tensor], wanted: Mapping[str, torch.Size], source: str
) -> None:
    """Raise UserError naming keys of `given` that are missing, too many or of another shape."""
    missing = wanted.keys() - given.keys()
    extra = given.keys() - wanted.keys()
    wrong = [n for n in wanted.keys() & given.keys() if given[n].shape != wanted[n]]
    faults = []
    if missing:
        faults.append(f"lacks {_some(missing)}")
    if extra:
        faults.append(f"holds what no DiT has: {_some(extra)}")
    if wrong:
        name = min(wrong)
        faults.append(
            f"{name} is {_by(given[name].shape)} instead of {_by(wanted[name])} ({len(wrong)} such)"
        )
    if faults:
        raise UserError(f"{source}: is not this DiT's state dict: {'; '.join(faults)}")


def block_count(names: Iterable[str], prefix: str) -> int:
    """Return the number of blocks whose weights are called `<prefix>.<number>.…`."""
    numbers = {
        part[1]
        for part in (n.split(".") for n in names if n.startswith(f"{prefix}."))
        if part[1].isdigit()
    }
    return 1 + max(map(int, numbers), default=-1)


def _require_dit(science: Science) -> None:
    if science.model.family != "dit":
        raise UserError(
            f"a network of family {science.model.family!r} has no DiT's layout to be exported to"
        )


def _require_released(science: Science) -> None:
    _require_dit(science)
    m = science.dit
    extras = [name for name in ("qk_norm", "layer_scale") if getattr(m, name)]
    if not design_of(m.conditioning).released:
        able = " and ".join(repr(row.name) for row in DESIGNS.values() if row.released)
        raise UserError(
            f"conditioning {m.conditioning!r} has no published layout; only {able} has one"
        )
    if extras:
        raise UserError(f"a model with {' and '.join(extras)} has no published layout")
    if science.data.conditions:
        raise UserError(
            f"a model with {' and '.join(science.data.conditions)} beside labels has no published "
            "layout"
        )
    if science.data.height != science.data.width:
        size = f"{science.data.height}x{science.data.width}"
        raise UserError(f"input {size} has no published layout, which is of square inputs only")


def _groups(science: Science) -> list[int]:
    m = science.dit
    return modulation_groups(m.hidden, m.depth, len(design_of(m.conditioning).modulations))


def _positions(weights: Mapping[str, Tensor], science: Science) -> Tensor:
    m = science.dit
    data = science.data
    if "positions" in weights:
        return weights["positions"]
    return fixed_positions(m.positions, (data.height // m.patch, data.width // m.patch), m.hidden)


def _some(names: Iterable[str]) -> str:
    first, *rest = sorted(names)
    return f"{first} and {len(rest)} more" if rest else first


def _by(shape: torch.Size) -> str:
    return "x".join(map(str, shape)) or "a number"
