"""From facts to standings to arrays: every case without a scheduler."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from dit_core.errors import UserError
from dit_core.study.grid.select import select
from dit_core.study.science import ids
from dit_core.study.science.execution import Execution
from dit_core.study.science.run import PlannedEvaluation, Run
from dit_core.study.science.sampling import Evaluation, Sampling
from slurm.scheduler.profile import Profile
from slurm.scheduler.queue import ENDED, RUNNING, WAITING, Task, expand_ids, meaning
from slurm.standing.progress import Wish, idle_attempts
from slurm.standing.standing import EvalFacts, Facts, stand, stand_eval
from slurm.submission.decide import arrange, decide

UUID = "0123456789abcdef"


def task(word: str, key: str = "7_0", reason: str = "") -> Task:
    return Task(key, word, f"s-{UUID}", reason, "gpu01")


def make_runs(tiny, count: int, points: tuple[int, ...] = (960,), processes: int = 1) -> list[Run]:
    runs = []
    for seed in range(count):
        science = tiny.model_copy(update={"train": tiny.train.model_copy(update={"seed": seed})})
        run_id = ids.run_id(science)
        evaluations = [
            Evaluation(images_seen=p, samples=100, sampling=Sampling(steps=2)) for p in points
        ]
        planned = tuple(PlannedEvaluation(ids.eval_id(run_id, e), run_id, e) for e in evaluations)
        swept = {"train.seed": seed}
        runs.append(
            Run(
                run_id,
                f"seed={seed}",
                science,
                Execution(processes=processes),
                planned,
                points,
                swept,
            )
        )
    return runs


def blank(runs: list[Run], **changes) -> dict[str, Facts]:
    return {
        r.run_id: Facts(evals={e.eval_id: EvalFacts() for e in r.evaluations}, **changes)
        for r in runs
    }


def test_durable_records_come_before_every_word_of_the_scheduler():
    for word in (*WAITING, *RUNNING, *ENDED, "NONSENSE"):
        for queue_ok in (True, False):
            facts = Facts(
                outcome=("DONE", None, 1), tasks=(task(word),), submitted=True, queue_ok=queue_ok
            )
            assert stand(facts).word == "done"
            assert stand(replace(facts, outcome=("DIVERGED", "nan", 1))).word == "diverged"


def test_every_state_word_of_slurm():
    """Waiting and running words keep a run alive, ended words say why, any other is unknown."""
    false_terminals = 0
    expected = {
        "CANCELLED": "cancelled",
        "CANCELLED by 0": "cancelled",
        "CANCELLED+": "cancelled",
        "COMPLETED": "stopped",
        "FAILED": "stopped",
        "TIMEOUT": "stopped",
        "DEADLINE": "stopped",
        "PREEMPTED": "stopped",
        "REVOKED": "stopped",
        "NODE_FAIL": "stopped",
        "BOOT_FAIL": "stopped",
        "LAUNCH_FAILED": "stopped",
        "RECONFIG_FAIL": "stopped",
        "OUT_OF_MEMORY": "failed",
        "SOME_NEW_WORD": "unknown",
        "": "unknown",
        "completed": "stopped",
        **dict.fromkeys(WAITING, "waiting"),
        **dict.fromkeys(RUNNING, "running"),
    }
    for word, wanted in expected.items():
        got = stand(Facts(tasks=(task(word),), submitted=True)).word
        assert got == wanted, word
        false_terminals += got in ("done", "diverged")
    assert false_terminals == 0


def test_absence_and_outage_prove_nothing():
    gone = Facts(submitted=True)
    assert stand(gone).word == "lost"
    assert stand(replace(gone, queue_ok=False)).word == "unknown"
    assert stand(Facts(queue_ok=False)).word == "new"
    assert stand(replace(gone, owner="job 7_0 on n1", queue_ok=False)).word == "running"
    assert stand(Facts(started=True)).word == "stopped"
    assert stand(Facts(torn="outcome.json: torn")).word == "torn"


def test_node_failure_then_the_same_task_runs_again():
    """A live entry of the task wins over an ended one."""
    facts = Facts(tasks=(task("NODE_FAIL"), task("RUNNING")), submitted=True)
    assert stand(facts).word == "running"


def test_preempted_for_good_is_taken_up_again(tiny):
    """PreemptMode=CANCEL leaves PREEMPTED as the last word."""
    runs = make_runs(tiny, 1)
    facts = blank(runs, tasks=(task("PREEMPTED"),), submitted=True, started=True)
    assert [r.train for r in decide(runs, facts).rows] == [True]


def test_a_task_cancelled_in_slurm_is_not_taken_up_again(tiny):
    """But one that Slurm gave up because its training failed was cancelled by nobody."""
    runs = make_runs(tiny, 1)
    facts = blank(runs, tasks=(task("CANCELLED"),), submitted=True)
    assert not decide(runs, facts).to_do
    gave_up = task("CANCELLED", reason="DependencyNeverSatisfied")
    evaluation = EvalFacts(tasks=(gave_up,), submitted=True)
    assert stand_eval(Facts(), evaluation, stand(Facts())).word == "stopped"


def test_a_retry_dismisses_what_was_before_it():
    wish = Wish("retry", 3, ("7_0",))
    assert stand(Facts(outcome=("FAILED", "x", 3), wish=wish)).word == "new"
    assert stand(Facts(outcome=("FAILED", "x", 4), wish=wish)).word == "failed"
    assert stand(Facts(tasks=(task("CANCELLED"),), submitted=True, wish=wish)).word == "new"
    assert (
        stand(Facts(tasks=(task("CANCELLED", "8_0"),), submitted=True, wish=wish)).word
        == "cancelled"
    )
    assert stand(Facts(wish=Wish("cancel", 0), submitted=True)).word == "cancelled"
    assert stand(Facts(outcome=("DONE", None, 1), wish=Wish("cancel", 0))).word == "done"


def test_kinds_of_failure():
    assert "memory_gb" in stand(Facts(tasks=(task("OUT_OF_MEMORY"),), started=True)).why
    assert stand(Facts(tasks=(task("TIMEOUT"),), started=True, idle=1)).word == "stopped"
    assert "without progress" in stand(Facts(tasks=(task("TIMEOUT"),), started=True, idle=2)).why
    assert stand(Facts(tasks=(task("FAILED"),), started=True)).word == "stopped"
    assert stand(Facts(tasks=(task("FAILED"),))).word == "stopped"
    twice = Facts(tasks=(task("FAILED"), task("FAILED", "8_0")))
    assert "2 tasks ended before they wrote a record" in stand(twice).why


@pytest.mark.parametrize(
    ("starts", "newest", "after", "idle"),
    [
        ([], 0, 0, 0),
        ([0], 0, 0, 1),
        ([0], 10, 0, 0),
        ([0, 0], 0, 0, 2),
        ([0, 10, 10, 10], 10, 0, 3),
        ([0, 10, 10, 20], 30, 0, 0),
        ([0, 10, 10, 10], 10, 3, 1),
        ([None, None], 0, 0, 2),
    ],
)
def test_attempts_without_progress(starts, newest, after, idle):
    attempts = [{"attempt": k + 1, "images_start": s} for k, s in enumerate(starts)]
    assert idle_attempts(attempts, newest, after) == idle


def test_2500_runs_become_three_arrays(tiny):
    """MaxArraySize 1001 allows task ids 0 to 1000; every run is covered exactly once."""
    runs = make_runs(tiny, 2500, points=())
    arrays = arrange(decide(runs, blank(runs)), Profile(), most_tasks=1001)
    covered = Counter(item.run for a in arrays for t in a.tasks for item in t)
    highest = max(max(a.indices) for a in arrays)
    assert len(arrays) == 3
    assert highest <= 1000
    assert set(covered.values()) == {1}
    assert covered.keys() == {r.run_id for r in runs}


def test_evaluations_follow_their_training_index_by_index(tiny):
    runs = make_runs(tiny, 5, points=(480, 960))
    arrays = arrange(decide(runs, blank(runs)), Profile(), most_tasks=2)
    assert [(len(a.tasks), a.follows, a.evaluates) for a in arrays] == [
        (2, None, False),
        (2, 0, True),
        (2, 0, True),
        (2, None, False),
        (2, 3, True),
        (2, 3, True),
        (1, None, False),
        (1, 6, True),
        (1, 6, True),
    ]
    for a in arrays:
        if a.follows is not None:
            for index, items in zip(a.indices, a.tasks, strict=True):
                training = arrays[a.follows].tasks[arrays[a.follows].indices.index(index)]
                assert [i.run for i in items] == [i.run for i in training]


def test_together_packs_evaluations_and_runs_into_one_task(tiny):
    runs = make_runs(tiny, 5, points=(480, 960))
    arrays = arrange(
        decide(runs, blank(runs)), Profile(evaluations="together", runs_per_job=2), most_tasks=1001
    )
    assert [len(t) for a in arrays for t in a.tasks] == [2, 2, 1]
    assert all(len(i.evals) == 2 and i.train for a in arrays for t in a.tasks for i in t)


def test_an_evaluation_added_later_trains_nothing_and_waits_for_nothing(tiny):
    runs = make_runs(tiny, 3, points=(480, 960))
    facts = blank(runs, outcome=("DONE", None, 1))
    decision = decide(runs, facts)
    assert not any(r.train for r in decision.rows)
    arrays = arrange(decision, Profile(), 1001)
    assert [(a.follows, len(a.tasks)) for a in arrays] == [(None, 6)]


def test_while_a_training_runs_only_points_whose_weights_are_there_are_evaluated(tiny):
    (run,) = make_runs(tiny, 1, points=(480, 960))
    first, second = (e.eval_id for e in run.evaluations)
    facts = {
        run.run_id: Facts(
            owner="job 1", evals={first: EvalFacts(weights=True), second: EvalFacts()}
        )
    }
    assert decide([run], facts).rows[0].evaluate == (first,)


def test_nothing_is_measured_of_a_diverged_run(tiny):
    runs = make_runs(tiny, 2)
    decision = decide(runs, blank(runs, outcome=("DIVERGED", "loss nan", 1)))
    assert not decision.to_do
    assert [s.word for r in decision.rows for s in r.evals.values()] == ["diverged", "diverged"]


def test_runs_of_different_width_go_to_different_arrays(tiny):
    runs = make_runs(tiny, 2, points=()) + make_runs(tiny, 4, points=(), processes=4)[2:]
    arrays = arrange(decide(runs, blank(runs)), Profile(gpus_per_node=4), 1001)
    assert sorted((a.processes, len(a.tasks)) for a in arrays) == [(1, 2), (4, 2)]


def test_arrays_of_pending_tasks_expand():
    assert list(expand_ids("7_[0-5:2,9%4]")) == ["7_0", "7_2", "7_4", "7_9"]
    assert list(expand_ids("7_[0-3,...")) == ["7_0", "7_1", "7_2", "7_3"]
    assert list(expand_ids("12")) == ["12"]
    assert list(expand_ids("12_3")) == ["12_3"]
    assert list(expand_ids("12.batch")) == []
    assert meaning("CANCELLED by 1000") == ("ended", "cancelled")


def test_selection(tiny):
    runs = make_runs(tiny, 4)
    assert select(runs, ["train.seed=1,3"]) == (runs[1], runs[3])
    assert select(runs, ["seed=2"]) == (runs[2],)
    assert select(runs, [runs[0].run_id[:6]]) == (runs[0],)
    assert len(select(runs, ["model.size=XXXS"])) == 4
    for words, message in (
        (["train.sed=1"], "did you mean 'train.seed'"),
        (["train.seed=9"], "train.seed is 0, 1, 2, 3"),
        (["zzz"], "no run 'zzz'"),
    ):
        with pytest.raises(UserError, match=message):
            select(runs, words)
