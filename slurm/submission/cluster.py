"""What this cluster has: partitions, GPUs, limits; and whether a profile fits."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dit_core.errors import EnvironmentProblem, UserError, nearest
from dit_core.records.paths import Store
from slurm.orders.snapshot import Code
from slurm.scheduler.commands import ask
from slurm.scheduler.profile import Profile
from slurm.submission.decide import Array
from slurm.submission.script import Job, render


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition as sinfo shows it; GPUs by type, cores and memory are those of its best node."""

    name: str
    default: bool
    nodes: int
    gpus: dict[str, int]
    cpus: int
    memory_gb: int
    minutes: int | None

    @property
    def most_gpus(self) -> int:
        """Return the GPUs of the node that has most of one type."""
        return max(self.gpus.values(), default=0)


def partitions() -> tuple[Partition, ...]:
    """Return the partitions of this cluster; raise EnvironmentProblem if sinfo does not answer."""
    answer = ask("sinfo", "-h", "-o", "%P|%D|%G|%c|%m|%l")
    if not answer.ok:
        raise EnvironmentProblem(f"sinfo: {answer.trouble}")
    found: dict[str, Partition] = {}
    for line in answer.out.splitlines():
        parts = line.split("|")
        if len(parts) != 6:
            continue
        name = parts[0].rstrip("*")
        old = found.get(
            name, Partition(name, parts[0].endswith("*"), 0, {}, 0, 0, _minutes(parts[5]))
        )
        gpus = {**old.gpus}
        for kind, count in gpus_in(parts[2]).items():
            gpus[kind] = max(gpus.get(kind, 0), count)
        nodes, cpus, memory = (_leading(p) for p in (parts[1], parts[3], parts[4]))
        found[name] = Partition(
            name,
            old.default,
            old.nodes + nodes,
            gpus,
            max(old.cpus, cpus),
            max(old.memory_gb, memory // 1024),
            old.minutes,
        )
    return tuple(found.values())


def gpus_in(gres: str) -> dict[str, int]:
    """Return GPUs by type in a node's GRES, such as "gpu:a100:4(S:0-1),gpu:v100:2".

    GPUs without a type have the type "".
    """
    found: dict[str, int] = {}
    for part in re.sub(r"\([^)]*\)", "", gres).split(","):
        hit = re.fullmatch(r"gpu(?::([A-Za-z][A-Za-z0-9_.-]*))?(?::(\d+))?", part.strip())
        if hit:
            found[hit[1] or ""] = found.get(hit[1] or "", 0) + int(hit[2] or 1)
    return found


def check_asks(profile: Profile, arrays: Iterable[Array]) -> None:
    """Compare a profile and what it would request with the cluster, before anything is submitted.

    Raises UserError for what the cluster does not have.
    """
    there = {p.name: p for p in partitions()}
    wanted = (
        profile.partition.split(",")
        if profile.partition
        else [n for n, p in there.items() if p.default]
    )
    for name in wanted:
        if name not in there:
            near = nearest(name, there)
            known = ", ".join(there)
            raise UserError(
                f"profile: partition {name!r} is not on this cluster{near}; it has: {known}"
            )
    meant = [there[name] for name in wanted]
    if meant:
        where = ", ".join(wanted)
        memory = max(p.memory_gb for p in meant)
        if profile.memory_gb and 0 < memory < profile.memory_gb:
            raise UserError(
                f"profile: memory_gb {profile.memory_gb}, but no node in {where} has more than "
                f"{memory}"
            )
        _check_gpus(profile, meant, where)
        for processes in sorted({a.processes for a in arrays}):
            cores = profile.shape(processes)[1] * profile.cpus_per_process
            most = max(p.cpus for p in meant)
            if cores > most:
                raise UserError(
                    f"profile: {cores} cores per node are requested (cpus_per_process "
                    f"{profile.cpus_per_process}), "
                    f"but no node in {where} has more than {most}"
                )


def _check_gpus(profile: Profile, meant: list[Partition], where: str) -> None:
    kinds = sorted({kind for p in meant for kind in p.gpus if kind})
    if profile.gpu_type and profile.gpu_type not in kinds:
        near = nearest(profile.gpu_type, kinds)
        known = ", ".join(kinds) or "none has a name"
        raise UserError(
            f"profile: gpu_type {profile.gpu_type!r} is not in {where}{near}; types there: {known}"
        )
    most = max(p.gpus.get(profile.gpu_type, 0) if profile.gpu_type else p.most_gpus for p in meant)
    if profile.gpus_per_node > most:
        raise UserError(
            f"profile: gpus_per_node {profile.gpus_per_node}, but no node in {where} has more than "
            f"{most}"
        )


def propose() -> dict[str, dict[str, Any]]:
    """Return a profile per partition of this cluster, as plain values for a clusters file."""
    profiles = {}
    for p in partitions():
        kind, gpus = max(p.gpus.items(), key=lambda pair: pair[1], default=("", 0))
        profile: dict[str, Any] = {"partition": p.name, "gpus_per_node": gpus}
        if kind:
            profile["gpu_type"] = kind
        profile["cpus_per_process"] = max(p.cpus // max(gpus, 1), 1)
        profile["minutes"] = min(p.minutes or 1440, 1440)
        profiles[p.name] = profile
    return profiles


def start_estimate(store: Store, study: str, profile: Profile, array: Array) -> str:
    """Return when Slurm expects the first array to start (`sbatch --test-only`), or why not."""
    with tempfile.TemporaryDirectory() as folder:
        job = Job(
            f"{study}-estimate", store.study(study), array.indices, array.processes, profile.minutes
        )
        script = Path(folder, "job.sh")
        script.write_text(render(profile, job, Code(store.code, ""), ""))
        answer = ask("sbatch", "--test-only", f"--chdir={folder}", str(script))
    found = re.search(r"to start at (\S+)", answer.err + answer.out)
    return found.group(1) if found else f"not known ({answer.trouble})"


def _leading(text: str) -> int:
    hit = re.match(r"\d+", text)
    return int(hit.group()) if hit else 0


def _minutes(limit: str) -> int | None:
    """Return Slurm's time limit in minutes: "4:00:00", "2-00:00:00", "30:00"; None for infinite."""
    hit = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit.strip())
    if not hit:
        return None
    days, hours, minutes, _ = (int(part or 0) for part in hit.groups())
    return days * 1440 + hours * 60 + minutes
