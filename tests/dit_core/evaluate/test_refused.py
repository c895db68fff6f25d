"""Evaluations that are refused, or say why they are less: bad samples out of the model."""

from __future__ import annotations

import weakref

import pytest
import torch

import dit_core.evaluate.one_evaluation as module
from dit_core.errors import DataError, RecordError, UserError
from dit_core.evaluate.one_evaluation import evaluate
from dit_core.evaluate.samples.generate import Generator
from dit_core.records.evals import read_eval


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_samples_that_are_not_finite_are_named_and_nothing_is_recorded(
    trained, execution, monkeypatch, value
):
    original = Generator.samples

    def broken(self, indices):
        x = original(self, indices)
        if 70 in indices:
            x[list(indices).index(70), 0, 3, 3] = value
        return x

    monkeypatch.setattr(Generator, "samples", broken)
    planned = trained.plan()
    with pytest.raises(DataError, match="sample 70 holds values that are not finite"):
        evaluate(trained.paths, trained.science, planned, execution)
    assert read_eval(trained.paths, planned.eval_id) is None


def test_a_collapsed_model_is_named(trained, execution, monkeypatch):
    monkeypatch.setattr(
        Generator, "samples", lambda self, indices: torch.zeros(len(indices), 1, 8, 8)
    )
    with pytest.raises(DataError, match="samples 0 to 31 are all the same image"):
        evaluate(trained.paths, trained.science, trained.plan(), execution)


def test_what_is_wrong_is_said_before_anything_is_sampled(trained, execution, monkeypatch):
    monkeypatch.setattr(Generator, "images", lambda *_: pytest.fail("sampled"))
    monkeypatch.setattr(module, "network_of", lambda *_: pytest.fail("built a network"))
    cases = {
        "samples is 64, but a covariance of 64 features needs more": trained.plan(samples=64),
        "unknown protocol 'digit', did you mean 'digits'": trained.plan(protocol="digit"),
        "sampler 'euler' does not go with objective 'ddpm'": trained.plan(sampler="euler"),
        "data.kind is 'digits', but protocol 'dit-scaling' decodes latents": trained.plan(
            protocol="dit-scaling"
        ),
        "samples is 200, but protocol 'dit-scaling' is defined with 50000": trained.plan(
            protocol="dit-scaling"
        ),
        "guidance is 1.0, but protocol 'dit-table2' is defined with 1.5": trained.plan(
            protocol="dit-table2"
        ),
        "steps is 2, but protocol 'dit-fig10' is defined with 16, 32": trained.plan(
            protocol="dit-fig10"
        ),
    }
    refused = 0
    for words, planned in cases.items():
        with pytest.raises(UserError) as caught:
            evaluate(trained.paths, trained.science, planned, execution)
        assert words in str(caught.value)
        refused += 1
    print(f"evaluations refused before sampling: {refused} of {len(cases)}")


def test_too_few_samples_are_measured_when_asked_and_labelled(trained, execution):
    record = evaluate(trained.paths, trained.science, trained.plan(samples=40), execution, few=True)
    assert record["marks"] == ["few samples"]
    full = evaluate(trained.paths, trained.science, trained.plan(), execution)
    assert full["marks"] == []


def test_altered_or_missing_weights_are_an_error(trained, execution):
    folder = trained.paths.snapshot(960)
    path = folder / "ema.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(RecordError, match="sha256"):
        evaluate(trained.paths, trained.science, trained.plan(), execution)
    path.unlink()
    with pytest.raises(RecordError, match=r"ema\.safetensors"):
        evaluate(trained.paths, trained.science, trained.plan(), execution)


def test_weights_of_another_network_are_an_error(trained, execution):
    science = trained.science.model_copy(
        update={"model": trained.science.model.model_copy(update={"depth": 3})}
    )
    with pytest.raises(DataError, match="another network"):
        evaluate(trained.paths, science, trained.plan(), execution)


def test_images_are_kept_only_when_asked(trained, execution, tmp_path):
    evaluate(trained.paths, trained.science, trained.plan(), execution)
    assert [p.suffix for p in sorted(trained.paths.evals.iterdir())] == [".json", ".png"]
    trained.paths.eval(trained.plan().eval_id).unlink()
    evaluate(trained.paths, trained.science, trained.plan(), execution, keep=tmp_path / "kept")
    assert len(list((tmp_path / "kept").glob("*.png"))) == 200


def test_images_of_one_batch_at_most_are_alive(trained, execution, monkeypatch):
    """Memory grows with the features alone: no batch of images outlives its turn."""
    alive = weakref.WeakSet()
    most = [0]
    original = Generator.images

    class Marked(torch.Tensor):
        pass

    def counted(self, indices):
        images = original(self, indices).as_subclass(Marked)
        most[0] = max(most[0], sum(a.shape[0] for a in alive))
        alive.add(images)
        return images

    monkeypatch.setattr(Generator, "images", counted)
    evaluate(trained.paths, trained.science, trained.plan(samples=400), execution)
    assert most[0] <= 2 * execution.sample_batch
