"""Our weights in the layout of the released code, and back.

It has one modulation layer per block where ours stacks several. Nothing is computed: rows are cut
and put together.
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
from dit_core.study.science.science import Science

Tensors = dict[str, Tensor]

# ours: released. Both layers of a pair have a weight and a bias.
ENDS = {
    "t_embedder.fc1": "t_embedder.mlp.0",
    "t_embedder.fc2": "t_embedder.mlp.2",
    "final": "final_layer.linear",
}
LAYERS = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
PARTS = ("weight", "bias")
KERNEL = "x_embedder.proj.weight"
LABELS = "y_embedder.embedding_table.weight"


def to_released(weights: Mapping[str, Tensor], science: Science) -> Tensors:
    """Return our weights under the names and in the shapes of the released code.

    A network trained without label dropout has no null row there. Raises UserError where the
    released code has no such network.
    """
    _require_released(science)
    m = science.dit
    labels = weights["y_embedder.weight"]
    out = {
        "pos_embed": _positions(weights, science)[None],
        KERNEL: weights["x_embedder.weight"].reshape(
            m.hidden, science.data.channels, m.patch, m.patch
        ),
        "x_embedder.proj.bias": weights["x_embedder.bias"],
        LABELS: labels if science.train.label_dropout else labels[:-1],
    }
    out |= {theirs: weights[ours] for ours, theirs in _same(m.depth).items()}
    for part in PARTS:
        groups = range(len(_groups(science)))
        rows = torch.cat([weights[f"modulation.linears.{g}.{part}"] for g in groups])
        names = _modulations(m.depth, part)
        # six modulations in each block, two in the final layer
        pieces = torch.split(rows, [6 * m.hidden] * m.depth + [2 * m.hidden])
        out |= dict(zip(names, pieces, strict=True))
    return out


def from_released(released: Mapping[str, Tensor], science: Science, source: str) -> Tensors:
    """Return our weights, float32, from the released layout; `source` names the file in errors.

    Raises UserError naming keys that are missing, too many or of another shape than `science`'s
    network has.
    """
    require_layout(released, layout_of(science), source)
    given = {name: tensor.detach().float() for name, tensor in released.items()}
    m = science.dit
    labels = given[LABELS]
    # Guidance, the only user of the null row, is refused where none was trained.
    null = labels.new_zeros(0 if science.train.label_dropout else 1, m.hidden)
    out = {
        "x_embedder.weight": given[KERNEL].flatten(1),
        "x_embedder.bias": given["x_embedder.proj.bias"],
        "y_embedder.weight": torch.cat([labels, null]),
    }
    if m.positions == "learned":
        out["positions"] = given["pos_embed"][0]
    out |= {ours: given[theirs] for ours, theirs in _same(m.depth).items()}
    sizes = [count * m.hidden for count in _groups(science)]
    for part in PARTS:
        stacked = torch.cat([given[name] for name in _modulations(m.depth, part)])
        pieces: Sequence[Tensor] = torch.split(stacked, sizes)
        out |= {f"modulation.linears.{g}.{part}": piece for g, piece in enumerate(pieces)}
    return {name: tensor.contiguous() for name, tensor in out.items()}


def _same(depth: int) -> dict[str, str]:
    """Return ours: released, for the tensors that are the same in both."""
    blocks = [f"blocks.{i}.{layer}" for i in range(depth) for layer in LAYERS]
    layers = ENDS | {name: name for name in blocks}
    return {f"{a}.{part}": f"{b}.{part}" for a, b in layers.items() for part in PARTS}


def _modulations(depth: int, part: str) -> list[str]:
    """Return the released names of the modulation layers, in the order of our stacked rows."""
    blocks = [f"blocks.{i}.adaLN_modulation.1.{part}" for i in range(depth)]
    return [*blocks, f"final_layer.adaLN_modulation.1.{part}"]


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
        faults.append(f"lacks {some_of(missing)}")
    if extra:
        faults.append(f"holds what no DiT has: {some_of(extra)}")
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


def require_dit(science: Science) -> None:
    if science.model.family != "dit":
        raise UserError(
            f"a network of family {science.model.family!r} has no DiT's layout to be exported to"
        )


def _require_released(science: Science) -> None:
    require_dit(science)
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


def some_of(names: Iterable[str]) -> str:
    first, *rest = sorted(names)
    return f"{first} and {len(rest)} more" if rest else first


def _by(shape: torch.Size) -> str:
    return "x".join(map(str, shape)) or "a number"
