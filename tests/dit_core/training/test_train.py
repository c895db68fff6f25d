"""The training loop: resuming, stopping, diverging; every option of the recipe changes an
outcome.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from trainings import final_ema, paths_of, relative, rows_of, run_of, science_of

from dit_core.executor.one_run import execute_run
from dit_core.executor.watch import Watch
from dit_core.records.attempt import read_attempts
from dit_core.records.outcome import read_outcome
from dit_core.records.paths import Store
from dit_core.study.science.data import BUILT_IN
from dit_core.study.science.execution import Execution
from dit_core.study.science.science import Science
from dit_core.study.science.unet import UNet
from dit_core.training import train as train_module

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def carry(folder, run, **watch):
    return execute_run(Store(folder), run, Watch(**watch))


def stop_after(steps: int):
    """Return a should_stop that asks for the end of the training in step `steps` (counted from
    1).
    """
    calls = iter(range(1, 10**6))
    return lambda: "SIGTERM" if next(calls) >= steps else None


@pytest.mark.parametrize("family", ["dit", "unet"])
def test_a_stopped_training_goes_on_bit_for_bit(tmp_path, family):
    science = science_of(steps=12)
    if family == "unet":
        network = UNet(channels=8, layers=1, groups=4, head_channels=4)
        science = Science(
            model=network, data=science.data, objective=science.objective, train=science.train
        )
    run = run_of(science, save_every_images=4 * 16)
    assert carry(tmp_path / "calm", run).how == "done"
    stops = 0
    while (carried := carry(tmp_path / "rough", run, should_stop=stop_after(3))).how == "stopped":
        stops += 1
    assert carried.how == "done"
    assert stops == 3  # each attempt makes three steps
    calm, rough = (paths_of(tmp_path / name, run) for name in ("calm", "rough"))
    assert rows_of(calm) == rows_of(rough)
    assert len(rows_of(calm)) == 12
    newest = max(calm.checkpoints.iterdir()).name
    for part in ("weights", "ema", "optimizer"):
        file = Path("checkpoints", newest, f"{part}.safetensors")
        assert (calm.root / file).read_bytes() == (rough.root / file).read_bytes(), part
    print(f"{stops} stops: weights, EMA, moments and {len(rows_of(calm))} rows equal bit for bit")


@pytest.mark.slow
def test_killed_trainings_end_as_undisturbed_ones():
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "kill_training.py"),
        "--kills",
        "4",
        "--json",
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    counts = json.loads(result.stdout)
    print(counts)
    assert counts["kills"] == 4
    assert counts["different"] == []
    assert counts["largest_loss_steps"] <= counts["save_interval_steps"]


@pytest.mark.parametrize(
    ("data", "model"),
    [
        ("digits-measured", {"conditioning": "in-context"}),
        ("digits-half", {"map_entry": "concat"}),
        ("digits-coarse", {"map_entry": "cross-attention"}),
        ("wine", {"tokens": "modules", "patch": 1}),
    ],
)
def test_conditions_and_vectors_train_and_go_on_bit_for_bit(tmp_path, data, model):
    science = science_of(steps=6)
    science = science.model_copy(
        update={
            "data": BUILT_IN[data],
            "model": science.model.model_copy(update={"patch": 4, **model}),
        }
    )
    run = run_of(Science.model_validate(science.model_dump()), save_every_images=2 * 16)
    assert carry(tmp_path / "calm", run).how == "done"
    while (carried := carry(tmp_path / "rough", run, should_stop=stop_after(3))).how == "stopped":
        pass
    assert carried.how == "done"
    calm, rough = (paths_of(tmp_path / name, run) for name in ("calm", "rough"))
    assert torch.equal(final_ema(calm, run.science), final_ema(rough, run.science))
    assert rows_of(calm) == rows_of(rough)
    kept = "vector_mean" in read_attempts(calm)[0]
    assert kept == (data == "digits-measured")


@pytest.mark.parametrize("micro", [1, 5, 8])
def test_micro_batches_give_the_same_training(tmp_path, micro):
    science = science_of(steps=8)
    whole = run_of(science)
    parts = run_of(science, micro_batch=micro)
    carry(tmp_path / "whole", whole)
    carry(tmp_path / "parts", parts)
    one, other = (
        final_ema(paths_of(tmp_path / name, whole), science) for name in ("whole", "parts")
    )
    print(f"micro-batch {micro} of 16: EMA differs by {relative(one, other):.1e}")
    assert relative(one, other) < 1e-5


def test_compiling_keeps_the_gradients_of_modulations_in_float32(monkeypatch):
    """Under autocast the compiler's backward pass would round them to bf16, which moves them by a
    thousandth.
    """
    monkeypatch.setattr(
        torch, "compile", partial(torch.compile, backend="aot_eager")
    )  # no code to wait for
    science = science_of(precision="bf16")
    device = torch.device("cpu")
    grads = []
    for choice in ("off", "on"):
        state, network = train_module.build_state(
            science, Execution(compile=choice, device="cpu"), device
        )
        with torch.no_grad():
            for p in state.model.parameters():
                p.normal_(std=0.1, generator=torch.Generator().manual_seed(p.numel()))
        draw = torch.Generator().manual_seed(1)
        x = torch.randn(16, 1, 8, 8, generator=draw)
        t = torch.rand(16, generator=draw) * 1000
        with torch.autocast("cpu", torch.bfloat16):
            out = network(x, t, torch.arange(16) % 10)
        out.float().square().mean().backward()
        grads.append(state.model.modulation.linears[0].weight.grad.clone())
    # exact in float32 from the same incoming rounding; gradients that went through bf16 keep 8 bits
    # of 24
    assert not torch.equal(grads[1], grads[1].bfloat16().float())
    assert relative(*grads) < 1e-2


def test_a_process_may_compile_any_number_of_networks(monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    for patch, depth in [(p, d) for p in (2, 4, 8) for d in (1, 2, 3)]:
        science = science_of()
        model = science.model.model_copy(update={"patch": patch, "depth": depth})
        science = science.model_copy(update={"model": model})
        _, network = train_module.build_state(
            science, Execution(compile="on", device="cpu"), torch.device("cpu")
        )
        assert (
            network(torch.zeros(2, 1, 8, 8), torch.zeros(2), torch.zeros(2, dtype=torch.int64))
            .isfinite()
            .all()
        )


def test_gradient_checkpointing_gives_the_same_training(tmp_path):
    science = science_of(steps=4)
    for name, on in (("off", False), ("on", True)):
        carry(tmp_path / name, run_of(science, grad_checkpoint=on))
    one, other = (
        final_ema(paths_of(tmp_path / name, run_of(science)), science) for name in ("off", "on")
    )
    assert torch.equal(one, other)


@pytest.mark.parametrize(
    "recipe",
    [
        {"seed": 1},
        {"lr": 2e-3},
        {"schedule": "cosine"},
        {"warmup_images": 64},
        {"weight_decay": 0.1},
        {"beta1": 0.5},
        {"beta2": 0.9},
        {"clip": 0.01},
        {"ema": 0.5},
        {"label_dropout": 0.9},
        {"precision": "bf16"},
    ],
    ids=lambda recipe: next(iter(recipe)),
)
def test_every_field_of_the_recipe_changes_the_weights(tmp_path, recipe):
    plain = science_of(steps=6)
    other = science_of(steps=6, **recipe)
    carry(tmp_path, run_of(plain))
    carry(tmp_path, run_of(other))
    a, b = (final_ema(paths_of(tmp_path, run_of(s)), s) for s in (plain, other))
    assert not torch.equal(a, b)
    assert torch.isfinite(b).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_non_finite_loss_ends_the_run_before_the_step(tmp_path, monkeypatch, bad):
    science = science_of(steps=12)
    run = run_of(science, save_every_images=16)
    _poison(monkeypatch, at_step=5, value=bad)
    carried = carry(tmp_path, run)
    paths = paths_of(tmp_path, run)
    assert carried.how == "diverged"
    assert read_outcome(paths).outcome == "DIVERGED"
    assert read_outcome(paths).images_seen == 5 * 16
    assert max(paths.checkpoints.iterdir()).name == f"{5 * 16:012d}"  # nothing was saved after it
    assert final_rows_name_what_was_not_finite(paths)
    assert carry(tmp_path, run).how == "diverged"  # and it is not tried again
    assert len(read_attempts(paths)) == 1


def final_rows_name_what_was_not_finite(paths) -> bool:
    from dit_core.records.metrics import read_curve

    last = read_curve(paths)[-1]
    return last["loss"] is None and "loss" in last["nonfinite"]


def _poison(monkeypatch, at_step: int, value: float) -> None:
    """Multiply the loss of one step by `value`."""
    plain = train_module.make_objective

    def poisoned(cfg):
        objective = plain(cfg)
        steps = iter(range(10**6))

        class Wrapped:
            def loss(self, *args):
                terms = objective.loss(*args)
                factor = value if next(steps) == at_step else 1.0
                return {name: term * factor for name, term in terms.items()}

        return Wrapped()

    monkeypatch.setattr(train_module, "make_objective", poisoned)


def test_a_spike_is_noted_and_the_run_goes_on(tmp_path, monkeypatch):
    diverged = events = 0
    for seed in range(5):
        run = run_of(science_of(steps=150, batch=4, seed=seed))
        _poison(monkeypatch, at_step=140, value=100.0)
        carried = carry(tmp_path, run)
        monkeypatch.undo()
        diverged += carried.how != "done"
        events += any("spike" in e for e in read_attempts(paths_of(tmp_path, run))[-1]["events"])
    print(
        f"5 runs with a hundredfold loss at one step: {events} spikes noted, {diverged} false "
        "DIVERGED"
    )
    assert (diverged, events) == (0, 5)


@pytest.mark.parametrize("jump_s", [-3600.0, 86400.0], ids=["hour back", "day forward"])
def test_jumps_of_the_clock_change_nothing(tmp_path, monkeypatch, jump_s):
    run = run_of(science_of(steps=8), save_every_s=0.01)
    carry(tmp_path / "calm", run)
    begin = time.monotonic()
    real = time.time
    monkeypatch.setattr(
        time, "time", lambda: real() + (jump_s if time.monotonic() - begin > 0.02 else 0.0)
    )
    carry(tmp_path / "jump", run, should_stop=stop_after(4))
    assert carry(tmp_path / "jump", run).how == "done"
    calm, jump = (paths_of(tmp_path / name, run) for name in ("calm", "jump"))
    assert rows_of(calm) == rows_of(jump)
    durations = [attempt["seconds"] for attempt in read_attempts(jump)]
    print(f"durations {durations}")
    assert all(0 <= seconds < 600 for seconds in durations)


def test_two_copies_that_start_together_train_once(tmp_path):
    run = run_of(science_of(steps=30))
    codes = {"done": 0, "owned": 5}
    children = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            try:
                os._exit(codes.get(carry(tmp_path, run).how, 1))
            finally:
                os._exit(70)
        children.append(pid)
    statuses = sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children)
    paths = paths_of(tmp_path, run)
    attempts = len(read_attempts(paths))
    lines = sum(len(p.read_text().splitlines()) for p in paths.attempts.glob("*/metrics.jsonl"))
    print(
        f"two starts: exit {statuses}, {attempts} attempt, {lines - len(rows_of(paths))} double "
        "rows"
    )
    assert statuses in ([0, 5], [0, 0])  # a late second one finds it done
    assert attempts == 1
    assert lines == 30


def test_out_of_memory_is_final_and_says_what_to_try(tmp_path, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(
        train_module, "make_objective", lambda cfg: type("O", (), {"loss": staticmethod(full)})()
    )
    run = run_of(science_of(steps=4))
    carried = carry(tmp_path, run)
    assert carried.how == "failed"
    assert "micro_batch" in carried.reason
    assert read_outcome(paths_of(tmp_path, run)).outcome == "FAILED"


def test_the_ema_is_not_the_weights(tmp_path):
    from safetensors.torch import load_file

    science = science_of(steps=8, ema=0.99)
    run = run_of(science, save_every_images=8 * 16)
    carry(tmp_path, run)
    folder = max(paths_of(tmp_path, run).checkpoints.iterdir())
    weights, ema = (load_file(folder / f"{part}.safetensors") for part in ("weights", "ema"))
    assert all(torch.isfinite(value).all() for value in ema.values())
    assert any(not torch.equal(weights[name], ema[name]) for name in weights)
