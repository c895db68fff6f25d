"""Copies of a study for other viewers hold its points.

MLflow and Weights & Biases are tested where they are installed.
"""

from __future__ import annotations

import pytest
from synthetic_store import fill

from analysis.tables import load
from analysis.write import mirror
from dit_core.cli import app
from dit_core.errors import EnvironmentProblem, UserError
from dit_core.records.paths import Store


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    fill(Store(folder), 3, points=4, evals=2)
    return folder


def test_tensorboard_holds_every_point(root, tmp_path, capsys):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.raises(SystemExit) as leaving:
        app.main(["export", "made", "--tensorboard", str(tmp_path / "tb"), "--results", str(root)])
    assert leaving.value.code in (0, None)
    assert "tensorboard: 3 runs of made" in capsys.readouterr().out
    for row in load.runs(root).itertuples():
        events = EventAccumulator(str(tmp_path / "tb" / row.name)).Reload()
        curve = load.metrics(root, run=row.run_id)
        assert [e.step for e in events.Scalars("train/loss")] == list(curve["images"])
        assert [e.value for e in events.Scalars("train/loss")] == pytest.approx(
            list(curve["loss"]), rel=1e-6
        )
        assert len([t for t in events.Tags()["scalars"] if t.startswith("digits/fd_digits")]) == 2


def test_a_second_export_into_the_same_folder_is_refused(root, tmp_path):
    mirror.to_tensorboard("made", tmp_path / "tb", root)
    with pytest.raises(UserError, match="not empty"):
        mirror.to_tensorboard("made", tmp_path / "tb", root)


def test_without_a_place_or_the_package(root, monkeypatch, capsys):
    with pytest.raises(SystemExit) as leaving:
        app.main(["export", "made", "--results", str(root)])
    assert leaving.value.code == 2
    assert "--tensorboard FOLDER" in capsys.readouterr().err
    for name, call in (("mlflow", mirror.to_mlflow), ("wandb", mirror.to_wandb)):
        for module in (name, "mlflow.entities", "mlflow.tracking"):
            monkeypatch.setitem(__import__("sys").modules, module, None)
        with pytest.raises(EnvironmentProblem, match=rf"ditlab\[{name}\]"):
            call("made", "x", root)


def test_mlflow_local_store(root, tmp_path):
    """MLflow's own local store reads back what was mirrored; mirroring twice doubles nothing."""
    tracking = pytest.importorskip("mlflow.tracking", reason="the extra mlflow is not installed")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    for _ in range(2):
        assert mirror.to_mlflow("made", uri, root) == 3
    client = tracking.MlflowClient(tracking_uri=uri)
    found = client.search_runs([client.get_experiment_by_name("made").experiment_id])
    assert len(found) == 3
    frame = load.runs(root).set_index("run_id")
    for run in found:
        run_id = run.data.tags["ditlab_run"]
        assert run.data.params["model_patch"] == str(frame.loc[run_id, "model_patch"])
        points = client.get_metric_history(run.info.run_id, "train/loss")
        curve = load.metrics(root, run=run_id)
        assert [(p.step, p.value) for p in points] == list(
            zip(curve["images"], curve["loss"], strict=True)
        )


def test_wandb_offline(root, tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    assert mirror.to_wandb("made", "project", root) == 3
    assert len(list(tmp_path.rglob("run-*.wandb"))) == 3
