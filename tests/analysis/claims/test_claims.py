"""Claims: supported, refuted and undecided where they should be; what does not exist is named with
the remedy.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from study_frames import own_runs
from synthetic_store import add_run, plan, sciences, unsynced

from analysis.claims.judge import judge
from analysis.claims.spikes import final_loss, loss_spikes
from analysis.noise.dependent import williams
from analysis.published.claims import core_claims, statements
from analysis.select.source import Source, published_source, study_source
from dit_core.errors import UserError
from dit_core.records.paths import Store
from dit_core.study.science import ids
from dit_core.study.science.claim_kinds import parse_claim


def source(frame: pd.DataFrame | None = None, metrics: pd.DataFrame | None = None) -> Source:
    rows = own_runs() if frame is None else frame
    runs = rows.drop_duplicates("run_id")[
        [
            "run_id",
            "name",
            "model_size",
            "patch",
            "conditioning",
            "objective",
            "seed",
            "params",
            "fwd_gmacs",
            "outcome",
        ]
    ]
    empty = pd.DataFrame({"run_id": [], "images": [], "loss": []})
    return Source(
        "digits", "Study digits", rows, runs, empty if metrics is None else metrics, "fd_digits"
    )


def claim(kind: str, **fields):
    base = {"id": "c", "text": "t", "kind": kind, "metric": "fd_digits"}
    return parse_claim(base | fields)


def test_the_papers_seven_core_claims():
    judged = {c.id: judge(c, published_source()) for c in core_claims()}
    print({k: (v.verdict, v.estimate, v.low, v.high, v.n) for k, v in judged.items()})
    assert len(judged) == 7
    assert judged.pop("stable-training").verdict == "UNDECIDED"  # its curves are not published
    # 1.08 of a reading: the noise between two trainings is larger.
    assert judged["sampling-cannot-replace-model"].verdict == "UNDECIDED"
    assert judged["sampling-cannot-replace-model"].prior
    others = {k: j.verdict for k, j in judged.items() if k != "sampling-cannot-replace-model"}
    assert set(others.values()) == {"SUPPORTED"}
    follows = judged["gflops-not-params"]
    assert follows.estimate == pytest.approx(-0.92985, abs=1e-5)
    assert follows.low < follows.estimate < follows.high < -0.7
    assert judged["larger-models-use-compute-better"].estimate == pytest.approx(
        2e9 * 10**10.15, rel=0.05
    )
    best = judged["adaln-zero-best"]
    assert (best.n, best.comparisons) == (4, 3)
    patches = judged["smaller-patches-help"]
    assert (patches.n, patches.comparisons) == (12, 8)
    assert patches.noise_source == "prior: 0.03 of the value, published repeats"
    assert judged["sampling-cannot-replace-model"].estimate == pytest.approx(24.5 / 22.6)


def test_the_forty_two_statements():
    rows = statements()
    assert len(rows) == 42
    assert rows["holds"].notna().all()
    assert rows["status"].value_counts()["contradicted"] == 28


def test_correlation_is_judged_by_its_interval():
    assert judge(claim("correlation", at_most=-0.8), source()).verdict == "SUPPORTED"
    assert judge(claim("correlation", at_least=-0.2), source()).verdict == "REFUTED"
    found = judge(claim("correlation", at_most=-0.9), source(own_runs(1).groupby("steps").head(5)))
    assert found.verdict == "UNDECIDED"
    assert judge(claim("correlation", at_most=-0.8), source()).n == 9


def test_order_needs_more_than_the_noise():
    right = judge(claim("order", by="patch", order="1 < 2 < 4", within=["model_size"]), source())
    assert (right.verdict, right.n, right.comparisons) == ("SUPPORTED", 18, 6)
    assert right.noise_is_share
    assert 0.01 < right.noise < 0.09
    assert right.noise_source.startswith("9 repeats of this study")
    wrong = judge(claim("order", by="patch", order=[4, 2, 1], within=["model_size"]), source())
    assert wrong.verdict == "REFUTED"
    near = judge(
        claim("order", by="patch", order="1 < 2 < 4", within=["model_size"], tolerance=1000.0),
        source(),
    )
    assert (near.verdict, near.decided_by) == ("UNDECIDED", "tolerance")
    assert "the tolerance decided, not the noise" in near.reason


def test_order_with_missing_results_is_undecided():
    frame = own_runs()
    frame.loc[(frame["model_size"] == "XS") & (frame["patch"] == 1), "fd_digits"] = np.nan
    found = judge(
        claim("order", by="patch", order="1 < 2 < 4", within=["model_size"]), source(frame)
    )
    assert found.verdict == "UNDECIDED"
    assert "1 of 6 comparisons lack results" in found.reason


def test_nothing_is_supported_while_runs_it_is_about_still_train():
    frame = own_runs()
    late = frame["run_id"] == "XS11"
    values = {"outcome": None, "eval_id": None, "fd_digits": np.nan}
    partial = source(frame.assign(**{c: frame[c].mask(late, v) for c, v in values.items()}))
    for kind, fields in (("correlation", {"at_most": -0.8}), ("threshold", {"at_most": 1e6})):
        assert judge(claim(kind, **fields), source()).verdict == "SUPPORTED"
        found = judge(claim(kind, **fields), partial)
        assert found.verdict == "UNDECIDED"
        assert "1 of the runs it is about are not finished" in found.reason
        elsewhere = judge(claim(kind, **fields, where={"patch": [2, 4]}), partial)
        assert elsewhere.verdict == "SUPPORTED"  # not about the run that is late
    assert (
        judge(claim("threshold", at_most=30), partial).verdict == "REFUTED"
    )  # one counterexample is enough


def test_the_setting_that_was_chosen_is_said():
    found = judge(claim("threshold", at_most=1e6), source())
    assert found.setting == "steps 50"
    assert judge(claim("threshold", at_most=1e6, where={"steps": 10}), source()).setting == ""
    assert "setting" in found.plain()


def test_a_correlation_that_is_not_stronger_says_so():
    rng = np.random.default_rng(0)
    frame = own_runs().assign(params=lambda t: t["fwd_gmacs"] * np.exp(rng.normal(0, 0.1, len(t))))
    found = judge(claim("correlation", at_most=-0.8, stronger_than="params"), source(frame))
    assert found.verdict == "UNDECIDED"
    assert found.reason.startswith("not told apart: |r| minus |r with params|: ")


def test_order_refuses_to_mix_what_differs_otherwise():
    with pytest.raises(
        UserError,
        match=r"differ in model_size \(XS, XXS, XXXS\); put it into `where:` or `within:`",
    ):
        judge(claim("order", by="patch", order=[1, 2, 4]), source())


def test_ratio_threshold_trend():
    small = {"model_size": "XXXS", "patch": 4}
    large = {"model_size": "XS", "patch": 1}
    assert (
        judge(claim("ratio", numerator=small, denominator=large, at_least=1.5), source()).verdict
        == "SUPPORTED"
    )
    assert (
        judge(claim("ratio", numerator=large, denominator=small, at_least=1.5), source()).verdict
        == "REFUTED"
    )
    assert judge(claim("threshold", at_most=500), source()).verdict == "SUPPORTED"
    assert judge(claim("threshold", at_most=10), source()).verdict == "REFUTED"
    value = own_runs()
    value = value[(value["model_size"] == "XS") & (value["patch"] == 1) & (value["steps"] == 50)][
        "fd_digits"
    ].mean()
    equal = claim("threshold", equals=float(value), tolerance=value / 2, where=large)
    assert judge(equal, source()).verdict == "SUPPORTED"
    assert (
        judge(
            claim("threshold", equals=float(value) + 40, tolerance=1.0, where=large), source()
        ).verdict
        == "REFUTED"
    )
    fell = judge(
        claim("trend", x="steps", direction="falling", within=["model_size", "patch"]), source()
    )
    assert fell.verdict == "SUPPORTED"
    rose = judge(
        claim("trend", x="steps", direction="rising", within=["model_size", "patch"]), source()
    )
    assert rose.verdict == "REFUTED"


def ratio_of(values: list[float], **fields):
    """Return the judgement on two seeds each of XS/1 and XS/4, and the claim's source."""
    frame = own_runs()
    frame = frame[
        (frame["steps"] == 50) & (frame["model_size"] == "XS") & frame["patch"].isin([1, 4])
    ]
    frame = frame.sort_values(["patch", "seed"]).assign(fd_digits=values)
    frame = frame.drop(columns=["fd_digits_low", "fd_digits_high"])
    fields = {"numerator": {"patch": 4}, "denominator": {"patch": 1}, "at_most": 1.0} | fields
    return judge(claim("ratio", **fields), source(frame))


def test_the_interval_of_a_ratio_is_that_of_the_logarithms():
    """Two seeds of a large and a small distance: the noise of the large one must not drown the
    small one's.
    """
    found = ratio_of([7.54, 7.28, 27.0, 22.8])
    assert found.estimate == pytest.approx(np.sqrt(27.0 * 22.8 / 7.54 / 7.28))
    assert np.sqrt(found.low * found.high) == pytest.approx(found.estimate)
    assert (found.verdict, found.prior) == ("REFUTED", False)
    assert found.noise_source.startswith("2 repeats of this study, prior: 0.09 of the value")
    signed = ratio_of([0.1, -0.2, 0.4, 0.5])
    assert (signed.verdict, signed.noise_is_share) == ("UNDECIDED", False)
    zero = ratio_of([0.0, 0.0, 0.4, 0.5])
    assert (zero.verdict, zero.estimate) == ("UNDECIDED", None)
    assert zero.reason == "the mean of the denominator is 0"


def curves(first: list[float], second: list[float]) -> Source:
    rows = []
    for patch, values in ((4, first), (2, second)):
        for i, value in enumerate(values):
            rows.append(
                {
                    **own_runs(1).iloc[0].to_dict(),
                    "run_id": f"p{patch}",
                    "patch": patch,
                    "images_seen": i,
                    "train_flops": 10.0**i,
                    "fd_digits": value,
                    "steps": 50,
                }
            )
    return source(pd.DataFrame(rows))


def test_crossing():
    crosses = claim(
        "crossing",
        x="train_flops",
        first={"patch": 4},
        second={"patch": 2},
        at_least=10,
        at_most=100,
        tolerance=0.1,
    )
    assert judge(crosses, curves([40, 30, 25, 22], [120, 60, 12, 5])).verdict == "SUPPORTED"
    assert judge(crosses, curves([40, 30, 25, 22], [80, 70, 65, 64])).verdict == "REFUTED"
    never = judge(crosses, curves([40, 30, 25, 22], [30, 20, 15, 12]))
    assert never.verdict == "UNDECIDED"
    assert "do not cross" in never.reason


def test_a_tolerance_never_replaces_the_noise():
    """One seed and no interval: the prior decides, not a tolerance that looks like an interval."""
    frame = own_runs(1).drop(columns=["fd_digits_low", "fd_digits_high"])
    stated = claim(
        "ratio",
        numerator={"model_size": "XXXS", "patch": 4},
        denominator={"model_size": "XS", "patch": 1},
        at_least=1.0,
        tolerance=0.1,
    )
    found = judge(stated, source(frame))
    assert (found.prior, found.decided_by) == (True, "noise")
    assert found.noise_source == "prior: 0.09 of the value, 24 trainings of two digits models"
    assert np.log(found.high / found.estimate) > 3 * 0.09
    wide = ratio_of([10.0, 10.1, 10.5, 10.4], at_most=1.5, tolerance=0.9)
    assert (wide.verdict, wide.decided_by) == ("UNDECIDED", "tolerance")
    assert ratio_of([10.0, 10.1, 10.5, 10.4], at_most=1.5).verdict == "SUPPORTED"


def test_a_step_back_that_may_be_keeps_a_trend_undecided():
    """A true step back of 5 % passed as SUPPORTED in 52 to 76 %."""
    rising = {"x": "fwd_gmacs", "direction": "rising", "where": {"steps": 50}}
    frame = own_runs()[lambda rows: rows["steps"] == 50]
    rank = frame["fwd_gmacs"].rank(method="dense")
    rng = np.random.default_rng(1)
    noisy = np.exp(0.02 * rng.standard_normal(len(frame)))
    values = 10 * 2.0 ** np.where(rank == 5, 3.92, rank) * noisy
    frame = frame.assign(fd_digits=values)
    frame = frame.drop(columns=["fd_digits_low", "fd_digits_high"])
    found = judge(claim("trend", **rising), source(frame))
    assert found.verdict == "UNDECIDED"
    steps = len(frame["fwd_gmacs"].unique()) - 1
    assert found.comparisons == steps + 1
    assert judge(claim("trend", **rising, tolerance=50.0), source(frame)).verdict == "SUPPORTED"


def test_equals_needs_its_whole_interval_within_the_tolerance():
    """20 ± 0.5 with truth 20.8 was SUPPORTED in 13 %: the estimate lay within, the interval not."""
    frame = own_runs(3)
    frame = frame[(frame["steps"] == 50) & (frame["model_size"] == "XS") & (frame["patch"] == 1)]
    frame = frame.drop(columns=["fd_digits_low", "fd_digits_high"])
    stated = claim("threshold", equals=20.0, tolerance=0.5)
    near = judge(stated, source(frame.assign(fd_digits=[20.3, 19.9, 20.6])))
    assert near.verdict == "UNDECIDED"
    close = claim("threshold", equals=20.0, tolerance=5.0)
    shown = judge(close, source(frame.assign(fd_digits=[20.01, 20.0, 19.99])))
    assert shown.verdict == "SUPPORTED"
    far = judge(stated, source(frame.assign(fd_digits=[40.01, 40.0, 39.99])))
    assert far.verdict == "REFUTED"


def test_ranks_of_few_models_have_no_interval():
    found = judge(claim("correlation", at_most=-0.5, method="spearman"), source())
    assert (found.verdict, found.low, found.n) == ("UNDECIDED", None, 9)
    assert found.reason == "too few models for an interval of ranks (9 < 10)"


def test_stronger_than_is_judged_by_williams_test():
    """On the paper's twelve models t(9) = 7.2; the bootstrap of the difference had no power."""
    found = judge(core_claims()[0], published_source())
    assert "Williams' t(9) = 7.2" in found.detail[0]
    gap = williams(*np.random.default_rng(0).standard_normal((3, 4)))
    assert gap.part(0.95, 1) == "open"
    assert gap.words == "none: too few models (4 < 5)"


def test_counts_have_no_noise_and_say_so():
    images = np.arange(200) * 64.0
    calm = 1 / np.sqrt(1 + images / 1000) + np.random.default_rng(0).normal(0, 0.01, 200)
    runs = own_runs(1).drop_duplicates("run_id")["run_id"]
    curves = pd.concat(
        [pd.DataFrame({"run_id": run, "images": images, "loss": calm}) for run in runs]
    )
    found = judge(claim("threshold", metric="loss_spikes", at_most=0), source(own_runs(1), curves))
    assert (found.verdict, found.decided_by, found.prior) == ("SUPPORTED", "count", False)
    assert found.noise_source == "counted exactly, no noise"


def test_refuted_with_runs_to_come_is_so_far():
    frame = own_runs()
    late = frame["run_id"] == "XS11"
    values = {"outcome": None, "eval_id": None, "fd_digits": np.nan}
    partial = source(frame.assign(**{c: frame[c].mask(late, v) for c, v in values.items()}))
    found = judge(claim("threshold", at_most=30), partial)
    assert (found.verdict, found.so_far, found.words) == ("REFUTED", True, "REFUTED so far")
    assert not judge(claim("threshold", at_most=30), source(frame)).so_far


def test_a_crossing_is_found_between_points_on_log_axes():
    """Power laws that cross at 1 were read as crossing at 1.103 by lines on a linear axis."""
    x = np.array([0.01, 100.0])
    rows = []
    for patch, slope in ((4, -0.1), (2, -0.6)):
        rows += [
            {**own_runs(1).iloc[0].to_dict(), "run_id": f"p{patch}", "patch": patch}
            | {"images_seen": i, "train_flops": at, "fd_digits": 20 * at**slope, "steps": 50}
            for i, at in enumerate(x)
        ]
    frame = pd.DataFrame(rows).drop(columns=["fd_digits_low", "fd_digits_high"])
    stated = claim("crossing", x="train_flops", first={"patch": 4}, second={"patch": 2})
    found = judge(stated, source(frame))
    assert found.estimate == pytest.approx(1.0)
    assert (found.verdict, found.n) == ("SUPPORTED", 2)
    assert 0.3 < found.low < 1 < found.high < 3.5


def test_loss_spikes_are_counted_and_short_curves_are_missing():
    images = np.arange(200) * 64.0
    calm = 1 / np.sqrt(1 + images / 1000) + np.random.default_rng(0).normal(0, 0.01, 200)
    spiky = calm.copy()
    raised = calm.copy()
    noisy = calm.copy()
    spiky[[120, 121, 170]] *= 10  # twice, one of them in a single row
    raised[100:106] *= 1.6  # a moderate rise that lasts
    noisy[[60, 90, 150]] *= (
        2.2  # as high as single rows of small batches come out, and gone in the next
    )
    curves = {"calm": calm, "spiky": spiky, "raised": raised, "noisy": noisy, "short": calm[:30]}
    table = pd.concat(
        [
            pd.DataFrame({"run_id": r, "images": images[: len(v)], "loss": v})
            for r, v in curves.items()
        ]
    )
    found = loss_spikes(table)
    assert found[["calm", "spiky", "raised", "noisy"]].tolist() == [0, 2, 1, 0]
    assert np.isnan(found["short"])
    assert final_loss(table)["calm"] == pytest.approx(calm[-10:].mean())


def test_unknown_metric_run_and_value_say_the_remedy():
    with pytest.raises(UserError, match=r"unknown metric 'fd_digit', did you mean 'fd_digits'\?"):
        judge(
            parse_claim(
                {"id": "c", "text": "t", "kind": "threshold", "metric": "fd_digit", "at_most": 1}
            ),
            source(),
        )
    with pytest.raises(
        UserError, match=r"has model_size = .XSS.*did you mean .XS.*`ditlab run digits`"
    ):
        judge(claim("threshold", at_most=1, where={"model_size": "XSS"}), source())
    later = judge(claim("threshold", at_most=1, where={"steps": 250}), source())
    assert later.verdict == "UNDECIDED"
    assert "no evaluation with steps = 250" in later.reason
    assert "`ditlab run digits` (nothing is trained again)" in later.reason


def test_two_protocols_are_refused():
    frame = own_runs()
    frame.loc[frame["seed"] == 1, "protocol"] = "digits-v2"
    with pytest.raises(UserError, match="do not belong on one axis"):
        judge(claim("correlation", at_most=-0.5), source(frame))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"kind": "order", "by": "conditionin", "order": ["a", "b"]},
            "did you mean 'conditioning'",
        ),
        ({"kind": "order", "by": "patch", "order": "2"}, "two or more ranks"),
        ({"kind": "order", "by": "patch", "order": "2 < 2"}, "different values"),
        ({"kind": "correlation"}, "no bound"),
        ({"kind": "correlation", "at_most": -0.8, "x": "fwd_gmac"}, "did you mean 'fwd_gmacs'"),
        ({"kind": "threshold", "at_most": 1, "equals": 2}, "besides"),
        ({"kind": "threshold", "at_least": 3, "at_most": 2}, "is above at_most"),
        ({"kind": "threshold", "at_most": 1, "where": {"pach": 2}}, "did you mean 'patch'"),
        ({"kind": "threshold", "at_most": float("nan")}, "finite"),
        ({"kind": "threshold", "at_most": 1, "tolerance": -1}, "greater than or equal to 0"),
    ],
)
def test_wrong_claims_name_what_is_allowed(fields, message):
    with pytest.raises(ValidationError, match=message):
        parse_claim({"id": "c", "text": "t", "metric": "fid"} | fields)


def run_cli(*words: str) -> None:
    from dit_core.cli.app import main

    main(list(words))


def test_command_judges_the_published_numbers(capsys):
    with pytest.raises(SystemExit) as left:
        run_cli("claims", "published", "--json")
    assert left.value.code in (0, None)
    document = json.loads(capsys.readouterr().out)
    assert len(document["claims"]) == 7
    assert len(document["statements"]) == 42
    assert {"estimate", "low", "high", "n", "noise", "verdict"} <= set(document["claims"][0])


def test_command_shows_strictness_in_its_exit_code(capsys):
    for words, code in ((["--strict"], 1), (["--strict", "--only", "gflops-not-params"], 0)):
        with pytest.raises(SystemExit) as left:
            run_cli("claims", "published", *words)
        assert (left.value.code or 0) == code
    with pytest.raises(SystemExit) as left:
        run_cli("claims", "published", "--only", "gflops-not-param")
    assert left.value.code == 2
    assert "did you mean 'gflops-not-params'" in capsys.readouterr().err


def test_an_earlier_training_point_settles_nothing_while_the_end_is_to_come():
    """A run that was stopped between its two evaluations must not be judged by the first of
    them.
    """
    frame = own_runs(1)
    frame = frame[(frame["model_size"] == "XS") & (frame["patch"] == 1) & (frame["steps"] == 50)]
    frame = frame.assign(images_seen=500.0, eval_id="early", outcome="DONE")
    study = source(frame)
    study.runs["images_seen"] = 1000.0
    study.runs["planned_evals"] = 2
    found = judge(claim("threshold", at_most=1.0), study)
    assert (found.verdict, found.estimate) == ("UNDECIDED", None)
    both = pd.concat(
        [frame, frame.assign(images_seen=1000.0, eval_id="end", fd_digits=0.5)], ignore_index=True
    )
    whole = source(both)
    whole.runs["images_seen"] = 1000.0
    whole.runs["planned_evals"] = 2
    assert judge(claim("threshold", at_most=1.0, tolerance=0.1), whole).estimate == 0.5
    assert (
        judge(claim("threshold", at_most=1.0, where={"images_seen": 500.0}), study).verdict
        == "REFUTED"
    )


def test_the_loss_of_a_run_that_still_trains_is_not_its_loss():
    images = np.arange(200) * 64.0
    curves = pd.DataFrame(
        {"run_id": own_runs(1)["run_id"].iloc[0], "images": images, "loss": 1 / (1 + images)}
    )
    one = own_runs(1).iloc[:1]
    ended = source(one.assign(outcome="DONE"), curves)
    training = source(one.assign(outcome=None), curves)
    high = claim("threshold", metric="loss", at_most=1e-9)
    assert judge(high, ended).verdict == "REFUTED"
    found = judge(high, training)
    assert (found.verdict, found.estimate) == ("UNDECIDED", None)


def test_one_claim_that_cannot_be_judged_keeps_no_other_back(tmp_path, capsys):
    from dit_core.cli.app import main

    store = Store(tmp_path)
    with unsynced():
        add_run(store, next(sciences(1)), evals=1)
        plan(store, "made", 1, evals=1)
    said = "{text: t, kind: threshold, at_most: 1000"
    text = (
        "study: made\nquestion: q\nbase: {train: {duration: 1 steps}}\nclaims:\n"
        f"  - {said}, id: good, metric: fd_digits}}\n  - {said}, id: later, metric: fid}}\n"
        f"  - {said}, id: wrong, metric: fd_digits, where: {{table: '4'}}}}\n"
        f"  - {said}, id: none, metric: fd_digits, where: {{patch: null}}}}\n"
    )
    (store.study("made") / "study.yaml").write_text(text)
    with pytest.raises(SystemExit) as ended:
        main(["claims", "made", "--json", "--results", str(tmp_path)])
    assert ended.value.code == 2
    written = capsys.readouterr()
    document = json.loads(written.out)
    verdicts = {c["id"]: (c["verdict"], c["reason"][:24]) for c in document["claims"]}
    assert verdicts["good"][0] == "SUPPORTED"
    assert verdicts["later"] == ("UNDECIDED", "no evaluation of made me")
    assert verdicts["none"][0] == "UNDECIDED"
    assert [line.split(":")[0] for line in document["refused"]] == ["claim 'wrong'"]
    assert written.err.startswith("error: claim 'wrong': made has no column 'table'")


def test_a_run_that_nobody_started_is_known_by_every_field(tmp_path):
    """Else a claim about its hidden size would be refused as a slip, or judged without it."""
    store = Store(tmp_path)
    with unsynced():
        started = add_run(store, next(sciences(1)), evals=1)
        plan(store, "made", 40, evals=1)
    found = study_source("made", tmp_path)
    rows = found.runs.set_index("run_id")
    science = {ids.run_id(s): s for s in sciences(40)}
    assert len(rows) == 40
    assert all(rows.loc[key, "model_hidden"] == s.model.hidden for key, s in science.items())
    assert all(rows.loc[key, "train_lr"] == s.train.lr for key, s in science.items())
    other = sorted({s.model.hidden for s in science.values()} - {science[started].model.hidden})[0]
    waiting = judge(claim("threshold", at_most=1e6, where={"model_hidden": other}), found)
    assert (waiting.verdict, waiting.n) == ("UNDECIDED", 0)
    assert "`ditlab run made`" in waiting.reason
    early = judge(
        claim("threshold", at_most=1e6, where={"model_hidden": science[started].model.hidden}),
        found,
    )
    assert early.verdict == "UNDECIDED"
    assert "15 of the runs it is about are not finished" in early.reason
