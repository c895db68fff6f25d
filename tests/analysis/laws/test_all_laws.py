"""All laws of a study: one n, misfit said, several ways of training refused."""

from __future__ import annotations

import pandas as pd
import pytest
from study_frames import own_runs, study_of

from analysis.laws.all_laws import fit_all, labels_of
from analysis.laws.misfit import misfit_of
from analysis.laws.table import table
from analysis.laws.words import answer
from analysis.select.source import published_source
from dit_core.errors import UserError


def _runs(seeds: int) -> pd.DataFrame:
    sizes = {"XXXS": 2e5, "XXS": 6e5, "XS": 2e6}
    frame = own_runs(seeds)
    return frame.assign(
        params=frame["model_size"].map(sizes), tokens=64 / frame["patch"].astype(float) ** 2
    )


def test_n_counts_models_in_every_fit():
    rows = table(fit_all(study_of(_runs(3))))
    ours = rows[~rows["fit"].str.contains("held out|isoFLOP|surface")]
    assert set(ours["n"]) == {9}


def test_the_best_law_is_chosen_by_models_left_out():
    found = fit_all(published_source()).left_out
    assert [one.law for one in found][:2] == ["size x tokens law", "patch-aware law"]
    assert found[0].rms <= 0.09


def test_no_value_is_printed_where_there_are_no_data():
    laws = fit_all(study_of(_runs(2)))
    assert laws.gmacs[1] < 0.1
    said = " ".join([*answer(laws), *table(laws)["quantity"]])
    assert "1 Gflop " not in said
    assert "log10 G" not in " ".join(answer(laws))


@pytest.mark.parametrize(
    ("column", "values"), [("train_images", (96000, 48000)), ("train_lr", (1e-3, 3e-3))]
)
def test_several_ways_of_training_are_refused(column, values):
    parts = []
    for value in values:
        part = _runs(1)
        parts.append(part.assign(**{column: value, "run_id": part["run_id"] + str(value)}))
    both = pd.concat(parts, ignore_index=True)
    if column == "train_images":
        both["images_seen"] = both["train_images"]
    with pytest.raises(UserError, match=f"--where {column}="):
        fit_all(study_of(both))


def test_misfit_is_said_by_size_and_patch_and_beside_the_noise():
    frame = _runs(3)
    frame = frame[frame["steps"] == 50]
    labels = labels_of(frame, "fd_digits")
    assert labels.noise_sd is not None
    assert labels_of(frame[frame["seed"] == 0], "fd_digits").noise_sd is None
    fitted = frame[frame["seed"] == 0]["fd_digits"].to_numpy()
    measured = fitted * [1.2 if patch == "1" else 1.0 for patch in labels.patch]
    found = misfit_of(measured, fitted, 2, labels)
    assert found.is_seen
    assert dict(found.by_patch)["1"] == pytest.approx(0.182, abs=0.001)
    assert "by patch" in found.words()
    assert "noise" in found.words()


def test_every_law_says_how_it_misses():
    said = " ".join(answer(fit_all(published_source())))
    for law in ("line over log G", "power law", "patch-aware law", "size x tokens law"):
        assert f"Lack of fit, {law}" in said
    assert "1.5 times beyond" in said
