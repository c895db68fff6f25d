"""Weights of others: in through `ditlab import`, out through `ditlab export-weights`, and what is
refused.
"""

from __future__ import annotations

import argparse
import json
import pickle

import pytest
import torch
from dit_sciences import LATENT, inputs, shaken, small

from dit_core.cli.app import main
from dit_core.diffusion.samplers import sample
from dit_core.errors import UserError
from dit_core.evaluate.samples.generate import network_of
from dit_core.model.build import build_model
from dit_core.model.weights.described import Described
from dit_core.model.weights.files import read_foreign, write_released
from dit_core.model.weights.folder import write_diffusers
from dit_core.model.weights.released import to_released
from dit_core.records.run_record import read_science
from dit_core.study.science.sampling import Sampling
from dit_core.study.science.science import Ddpm, Flow
from dit_core.training.checkpoint import load_ema

# Names of the released state dict, written out here and not taken from the code.
RELEASED = {
    "pos_embed": (1, 16, 48),
    "x_embedder.proj.weight": (48, 4, 2, 2),
    "x_embedder.proj.bias": (48,),
    "t_embedder.mlp.0.weight": (48, 256),
    "t_embedder.mlp.0.bias": (48,),
    "t_embedder.mlp.2.weight": (48, 48),
    "t_embedder.mlp.2.bias": (48,),
    "y_embedder.embedding_table.weight": (6, 48),
    "final_layer.linear.weight": (32, 48),
    "final_layer.linear.bias": (32,),
    "final_layer.adaLN_modulation.1.weight": (96, 48),
    "final_layer.adaLN_modulation.1.bias": (96,),
}
for i in range(2):
    RELEASED |= {
        f"blocks.{i}.attn.qkv.weight": (144, 48),
        f"blocks.{i}.attn.qkv.bias": (144,),
        f"blocks.{i}.attn.proj.weight": (48, 48),
        f"blocks.{i}.attn.proj.bias": (48,),
        f"blocks.{i}.mlp.fc1.weight": (192, 48),
        f"blocks.{i}.mlp.fc1.bias": (192,),
        f"blocks.{i}.mlp.fc2.weight": (48, 192),
        f"blocks.{i}.mlp.fc2.bias": (48,),
        f"blocks.{i}.adaLN_modulation.1.weight": (288, 48),
        f"blocks.{i}.adaLN_modulation.1.bias": (288,),
    }
DATA = LATENT.model_copy(update={"height": 8, "width": 8, "classes": 5})


@pytest.fixture
def science():
    return small(data=DATA)


@pytest.fixture
def ours(science):
    return shaken(build_model(science)).eval()


def run(*args: str) -> int:
    with pytest.raises(SystemExit) as leaving:
        main([str(a) for a in args])
    return leaving.value.code or 0


def draw(network, science, start_seed: int = 0):
    y = torch.tensor([0, 4, 5])
    shape = (3, *network.input_shape) if hasattr(network, "input_shape") else (3, 4, 8, 8)
    return sample(
        network,
        science.objective,
        Sampling(steps=6, guidance=1.5),
        y,
        lambda k: torch.randn(shape, generator=torch.Generator().manual_seed(start_seed + k)),
    )


def test_the_released_layout_is_the_published_one(science, ours):
    assert {
        n: tuple(t.shape) for n, t in to_released(ours.state_dict(), science).items()
    } == RELEASED


@pytest.mark.parametrize("entry", ["ema", "model", None])
def test_a_released_file_becomes_a_run_that_can_be_sampled(
    entry, science, ours, tmp_path, store, capsys
):
    released = to_released(ours.state_dict(), science)
    other = {name: torch.zeros_like(t) for name, t in released.items()}
    # As the released training script writes it: weights, EMA, optimiser, and its arguments as a
    # Namespace.
    whole = {
        "model": other if entry == "ema" else released,
        "opt": {"state": {}},
        "args": argparse.Namespace(lr=1e-4),
    }
    whole |= {"ema": released} if entry == "ema" else {}
    torch.save(whole if entry else released, tmp_path / "dit.pt")
    assert (
        run(
            "import",
            tmp_path / "dit.pt",
            "--heads",
            2,
            "--classes",
            5,
            "--images-seen",
            512,
            "--json",
        )
        == 0
    )
    facts = json.loads(capsys.readouterr().out)
    assert facts["imported"]
    assert facts["images_seen"] == 512
    paths = store.run(facts["run_id"])
    found = read_science(paths)
    assert (found.model.depth, found.model.hidden, found.model.patch, found.model.positions) == (
        2,
        48,
        2,
        "sincos-2d",
    )
    assert (found.data.classes, found.data.height, found.objective) == (5, 8, Ddpm())
    network = network_of(found, load_ema(paths, 512), torch.device("cpu"))
    assert torch.equal(draw(network, found), draw(ours, science))
    # A second import is the same run and writes nothing; other weights are another run.
    assert (
        run(
            "import",
            tmp_path / "dit.pt",
            "--heads",
            2,
            "--classes",
            5,
            "--images-seen",
            512,
            "--json",
        )
        == 0
    )
    again = json.loads(capsys.readouterr().out)
    assert (again["run_id"], again["imported"]) == (facts["run_id"], False)
    torch.save(other, tmp_path / "other.pt")
    assert (
        run(
            "import",
            tmp_path / "other.pt",
            "--heads",
            2,
            "--classes",
            5,
            "--images-seen",
            512,
            "--json",
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["run_id"] != facts["run_id"]


@pytest.mark.parametrize("to", ["released", "diffusers"])
def test_export_and_import_give_the_same_weights(to, science, ours, tmp_path, store, capsys):
    path = tmp_path / "first.pt"
    write_released(path, ours.state_dict(), science)
    assert run("import", path, "--heads", 2, "--classes", 5, "--json") == 0
    first = json.loads(capsys.readouterr().out)
    assert "images seen are not known" in first["notes"][0]
    out = tmp_path / "out"
    assert run("export-weights", first["run_id"][:8], out, "--to", to, "--json") == 0
    assert bool(json.loads(capsys.readouterr().out)["notes"]) == (to == "diffusers")
    options = ["--heads", 2, "--classes", 5] if to == "released" else []
    assert run("import", out, *options, "--json") == 0
    second = json.loads(capsys.readouterr().out)
    a = load_ema(store.run(first["run_id"]), 1)
    b = load_ema(store.run(second["run_id"]), 1)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    frequencies = read_science(store.run(second["run_id"])).model.time_frequencies
    assert frequencies == to
    assert run("export-weights", first["run_id"], out) == 2
    assert "exists already" in capsys.readouterr().err


def test_a_study_can_name_an_imported_run_and_evaluate_it(science, ours, tmp_path, store, capsys):
    import yaml

    from dit_core.study.grid.expand import expand
    from dit_core.study.language.spec import load_study

    write_released(tmp_path / "a.pt", ours.state_dict(), science)
    assert (
        run(
            "import",
            tmp_path / "a.pt",
            "--heads",
            2,
            "--classes",
            5,
            "--images-seen",
            512,
            "--json",
        )
        == 0
    )
    run_id = json.loads(capsys.readouterr().out)["run_id"]
    base = yaml.safe_load(store.run(run_id).run_yaml.read_text())["science"]
    evaluate = {"protocol": "digits", "sampler": "ddpm", "steps": 5, "samples": 100}
    study = {"study": "imported", "question": "How good?", "base": base, "evaluate": evaluate}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    (planned,) = expand(load_study(tmp_path / "study.yaml")).runs
    assert planned.run_id == run_id
    assert planned.evaluations[0].evaluation.images_seen == 512


class AsOurs(torch.nn.Module):
    """diffusers' network behind the signature of ours."""

    def __init__(self, peer, null_class: int) -> None:
        super().__init__()
        self.peer = peer
        self.null_class = null_class

    def forward(self, x, t, y):
        return self.peer(x, timestep=t.long(), class_labels=y).sample


@pytest.mark.parametrize("frequencies", ["diffusers", "released"])
def test_an_export_loads_in_diffusers_and_gives_the_same_samples(frequencies, science, tmp_path):
    from diffusers import DiTTransformer2DModel

    model = science.model.model_copy(update={"time_frequencies": frequencies})
    science = science.model_copy(update={"model": model})
    ours = shaken(build_model(science)).eval()
    write_diffusers(tmp_path / "folder", ours.state_dict(), science)
    peer = DiTTransformer2DModel.from_pretrained(tmp_path / "folder").eval()
    theirs = AsOurs(peer, DATA.classes)
    difference = (draw(ours, science) - draw(theirs, science)).abs().max().item()
    if frequencies == "released":  # as the note of the export says
        assert difference > 1e-4
        for block in peer.transformer_blocks:
            block.norm1.emb.time_proj.downscale_freq_shift = 0
        difference = (draw(ours, science) - draw(theirs, science)).abs().max().item()
    print(f"{frequencies}: samples differ by at most {difference:.1e}")
    assert difference < 1e-4 * draw(ours, science).abs().max()


def test_a_pipeline_folder_and_a_port_of_released_weights(science, ours, tmp_path):
    write_diffusers(tmp_path / "pipe" / "transformer", ours.state_dict(), science)
    config = tmp_path / "pipe" / "transformer" / "config.json"
    text = json.loads(config.read_text()) | {"_class_name": "Transformer2DModel", "norm_eps": 1e-5}
    config.write_text(json.dumps(text))
    found = read_foreign(tmp_path / "pipe", Described(frequencies="released"))
    assert found.science.model.heads == 2
    assert any("1e-5 in diffusers" in note for note in found.notes)
    network = network_of(found.science, found.weights, torch.device("cpu"))
    assert torch.equal(network(*inputs(science)), ours(*inputs(science)))


@pytest.mark.parametrize("positions", ["learned", "sincos-1d", "none"])
def test_other_positions_travel_in_the_released_layout(positions, tmp_path):
    science = small(data=DATA, positions=positions)
    ours = shaken(build_model(science)).eval()
    write_released(tmp_path / "a.pt", ours.state_dict(), science)
    found = read_foreign(tmp_path / "a.pt", Described(heads=2, classes=5))
    assert found.science.model.positions == positions
    network = network_of(found.science, found.weights, torch.device("cpu"))
    assert torch.equal(network(*inputs(science)), ours(*inputs(science)))
    with pytest.raises(UserError, match=f"positions '{positions}' cannot be exported to diffusers"):
        write_diffusers(tmp_path / "b", ours.state_dict(), science)


def test_a_flow_is_imported_as_one(tmp_path):
    science = small(data=DATA, objective=Flow())
    write_released(tmp_path / "a.pt", shaken(build_model(science)).state_dict(), science)
    assert (
        read_foreign(
            tmp_path / "a.pt", Described(heads=2, classes=5, flow="ditlab")
        ).science.objective
        == Flow()
    )
    assert read_foreign(tmp_path / "a.pt", Described(heads=2, classes=5)).science.objective == Ddpm(
        learn_sigma=False
    )
    eps = small(data=DATA)
    write_released(tmp_path / "b.pt", shaken(build_model(eps)).state_dict(), eps)
    with pytest.raises(UserError, match="returns 8 channels for 4; a flow returns 4"):
        read_foreign(tmp_path / "b.pt", Described(heads=2, classes=5, flow="ditlab"))


def test_what_has_no_published_layout_is_not_exported(tmp_path):
    for change, words in (
        ({"conditioning": "in-context"}, "conditioning 'in-context' has no published layout"),
        ({"qk_norm": True}, "a model with qk_norm has no published layout"),
        ({"layer_scale": 0.1}, "layer_scale has no published layout"),
        ({"data": DATA.model_copy(update={"width": 12})}, "input 8x12 has no published layout"),
    ):
        science = small(**{"data": DATA, **change})
        with pytest.raises(UserError, match=words):
            write_released(tmp_path / "a.pt", build_model(science).state_dict(), science)
    assert not (tmp_path / "a.pt").exists()


class Trap:
    """Runs code when it is unpickled by a reader that trusts its file."""

    def __reduce__(self):
        return (exec, ("import os; os.environ['DITLAB_TRAPPED'] = '1'",))


def broken(kind: str, released: dict) -> object:
    """Return a damaged form of a released state dict."""
    if kind == "missing":
        del released["blocks.1.mlp.fc2.bias"], released["blocks.0.attn.qkv.bias"]
    if kind == "extra":
        released["blocks.0.attn.rel_pos"] = torch.zeros(1)
    if kind == "shape":
        released["blocks.1.mlp.fc2.weight"] = torch.zeros(48, 191)
    if kind == "other":
        return {"conv1.weight": torch.zeros(3)}
    if kind == "tokens":
        released["pos_embed"] = torch.zeros(1, 15, 48)
    if kind == "numbers":
        return {"a": 1}
    if kind == "list":
        return [1, 2]
    if kind == "trap":
        return {"ema": released, "args": Trap()}
    return released


BROKEN = {
    "missing": r"lacks blocks.0.attn.qkv.bias and 1 more",
    "extra": r"holds what no DiT has: blocks.0.attn.rel_pos",
    "shape": r"blocks.1.mlp.fc2.weight is 48x191 instead of 48x192",
    "other": r"is no DiT checkpoint: lacks pos_embed \(it holds conv1.weight",
    "tokens": r"pos_embed has 15 tokens, which are no square",
    "numbers": r"holds no state dict",
    "list": r"holds no state dict",
    "trap": r"is not a checkpoint of tensors that can be read without running its code",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_anything_else_is_refused_in_one_line(kind, science, ours, tmp_path, store, capsys):
    path = tmp_path / "x.pt"
    torch.save(broken(kind, to_released(ours.state_dict(), science)), path)
    with pytest.raises(UserError, match=BROKEN[kind]):
        read_foreign(path, Described(heads=2, classes=5))
    assert run("import", path, "--heads", 2, "--classes", 5) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert "DITLAB_TRAPPED" not in __import__("os").environ
    assert not store.runs.exists()


def test_other_files_and_options_are_refused(science, ours, tmp_path, store, capsys):
    (tmp_path / "text.pt").write_text("hello")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps({"a": Trap()}))
    (tmp_path / "empty").mkdir()
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text('{"_class_name": "UNet2DModel"}')
    write_released(tmp_path / "a.pt", ours.state_dict(), science)
    write_diffusers(tmp_path / "gelu", ours.state_dict(), science)
    config = tmp_path / "gelu" / "config.json"
    config.write_text(config.read_text().replace("gelu-approximate", "geglu"))
    cases = {
        (tmp_path / "none.pt",): "no such file or folder",
        (tmp_path / "text.pt",): "is not a checkpoint of tensors",
        (tmp_path / "plain.pt",): "is not a checkpoint of tensors",
        (tmp_path / "empty",): "is no diffusers model folder",
        (tmp_path / "unet",): "is of 'UNet2DModel'; only diffusers' DiTTransformer2DModel is read",
        (tmp_path / "gelu",): "activation_fn is 'geglu'; a DiT has 'gelu-approximate'",
        (tmp_path / "a.pt", "--heads", 5, "--classes", 5): "heads 5 do not divide hidden 48",
        (tmp_path / "a.pt", "--heads", 0): "--heads 0: must be at least 1",
        (tmp_path / "a.pt", "--flow", "si"): "--flow 'si', did you mean 'sit'",
        (tmp_path / "a.pt", "--classes", 0): "--classes 0: must be at least 1",
        (tmp_path / "gelu", "--flow", "sit"): "a SiT is read from its .pt file",
        (tmp_path / "a.pt", "--kind", "latent"): "--kind 'latent', did you mean 'latents'",
    }
    for args, words in cases.items():
        assert run("import", *args) == 2, args
        assert words in capsys.readouterr().err, args
    assert run("export-weights", "abcdef", tmp_path / "out") == 2
    assert "no run 'abcdef'" in capsys.readouterr().err


def test_heads_of_unnamed_sizes_must_be_given(tmp_path):
    science = small(data=DATA, depth=3)
    write_released(tmp_path / "a.pt", build_model(science).state_dict(), science)
    with pytest.raises(
        UserError, match=r"3 blocks of width 48 are no named size.*give it with --heads"
    ):
        read_foreign(tmp_path / "a.pt", Described(classes=5))


def test_blocks_with_different_embeddings_are_no_dit(science, ours, tmp_path):
    from safetensors.torch import load_file, save_file

    write_diffusers(tmp_path / "a", ours.state_dict(), science)
    path = tmp_path / "a" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    tensors["transformer_blocks.1.norm1.emb.timestep_embedder.linear_1.bias"] += 1
    save_file(tensors, path)
    with pytest.raises(UserError, match=r"its blocks differ in timestep_embedder.linear_1.bias"):
        read_foreign(tmp_path / "a", Described())
