"""The paper's studies plan without data or GPU, share their runs, and claim what is published."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.published import numbers as published
from dit_core.study.grid.expand import expand
from dit_core.study.language.spec import load_study
from dit_core.study.price import cost

FOLDER = Path(__file__).parents[3] / "studies"
RUNS = {
    "paper-scaling": 12,
    "paper-conditioning": 4,
    "paper-sampling": 12,
    "paper-guidance": 1,
    "paper-long": 2,
}


@pytest.fixture(scope="module")
def plans():
    studies = {name: load_study(FOLDER / f"{name}.yaml") for name in RUNS}
    return {name: (study, expand(study).runs) for name, study in studies.items()}


def test_every_paper_study_expands(plans):
    assert {p.stem for p in FOLDER.glob("paper-*.yaml")} == set(RUNS)
    for name, (study, runs) in plans.items():
        assert len(runs) == RUNS[name]
        assert study.claims
        assert study.figures
        assert any(run.evaluations for run in runs)


def test_runs_are_shared_and_not_trained_twice(plans):
    ids = {name: {r.run_id for r in runs} for name, (_, runs) in plans.items()}
    assert ids["paper-scaling"] == ids["paper-sampling"]
    assert len(ids["paper-conditioning"] & ids["paper-scaling"]) == 1
    assert ids["paper-guidance"] < ids["paper-long"]


def test_costs_are_the_papers(plans):
    printed = published.scaling().set_index(["model_size", "patch"])
    for run in plans["paper-scaling"][1]:
        row = printed.loc[(run.science.model.size, run.science.model.patch)]
        assert cost.fwd_macs(run.science) / 1e9 == pytest.approx(row["fwd_gmacs"], rel=0.006)
        assert cost.params(run.science) == pytest.approx(row["params"], rel=0.02)
        assert run.science.train.images == row["images_seen"]


def test_published_values_are_the_claims(plans):
    printed = published.points()
    for name in ("paper-scaling", "paper-conditioning"):
        stated = [c for c in plans[name][0].claims if c.kind == "threshold" and c.metric == "fid"]
        assert len(stated) == (12 if name == "paper-scaling" else 4)
        for claim in stated:
            rows = printed[printed["kind"].isin(("paper_scaling12", "paper_conditioning"))]
            for column, value in {"model_size": "XL", "patch": 2, **claim.where}.items():
                rows = rows[rows[column] == value]
            assert [claim.equals] == rows["fid"].tolist()
    figure = published.sampling()
    for claim in (c for c in plans["paper-sampling"][0].claims if c.kind == "threshold"):
        rows = figure
        for column, value in claim.where.items():
            rows = rows[rows[column] == value]
        assert [claim.equals] == rows["fid"].tolist()


def test_long_and_guided_results_of_both_resolutions_are_claims(plans):
    """Each printed FID of DiT-XL/2 beyond 400K steps has a claim and an evaluation."""
    printed = set()
    for resolution in (256, 512):
        table = published.table(f"imagenet{resolution}")
        rows = table[(table["kind"] == "paper") & table["model"].isin(("DiT-XL/2", "DiT-XL/2-G"))]
        printed |= {(resolution, float(fid)) for fid in rows["fid50k"]}
    found = set()
    for name in ("paper-guidance", "paper-long"):
        study, runs = plans[name]
        for claim in (c for c in study.claims if c.id.startswith("published")):
            size = 512 if "512" in claim.id else 256
            found.add((size, claim.equals))
            measured = [
                e.evaluation
                for run in runs
                for e in run.evaluations
                if run.science.tokens == size**2 // 256
                and e.evaluation.protocol == claim.where.get("protocol", "dit-scaling")
                and claim.where.get("images_seen", e.evaluation.images_seen)
                == e.evaluation.images_seen
            ]
            assert measured, claim.id
    assert found == printed
