"""Where a task runs: its index, job and process, as Slurm's environment describes them."""

from __future__ import annotations

import os
from dataclasses import dataclass

# Slurm reserves no port for us; jobs that share a node get different ones by their ids.
_FIRST_PORT = 15000
_PORTS = 20000


@dataclass(frozen=True)
class Place:
    """Array index, job id and process of the run."""

    index: int
    job: str
    raw_job: str
    rank: int
    world: int

    @classmethod
    def here(cls) -> Place:
        """Return the place that Slurm's environment describes."""
        env = os.environ
        index = int(env.get("SLURM_ARRAY_TASK_ID", "0"))
        array = env.get("SLURM_ARRAY_JOB_ID")
        raw = env.get("SLURM_JOB_ID", "0")
        return cls(
            index=index,
            job=f"{array}_{index}" if array else raw,
            raw_job=raw,
            rank=int(env.get("SLURM_PROCID", "0")),
            world=int(env.get("SLURM_NTASKS", "1")),
        )

    def name_the_group(self) -> None:
        """Tell torch.distributed who this process is; the first one runs where srun was called."""
        if self.world == 1:
            return
        env = os.environ
        env["RANK"] = str(self.rank)
        env["WORLD_SIZE"] = str(self.world)
        env["LOCAL_RANK"] = env.get("SLURM_LOCALID", "0")
        env.setdefault("MASTER_ADDR", env.get("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1"))
        env.setdefault("MASTER_PORT", str(_FIRST_PORT + int(self.raw_job) % _PORTS))
