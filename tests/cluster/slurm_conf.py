"""The configuration files of a Slurm for tests: two nodes of four GPUs, three partitions."""

from __future__ import annotations

import socket
from pathlib import Path

NODES = ("gpu01", "gpu02")


def slurm_conf(
    here: Path,
    ports: dict[str, int],
    options: dict[str, str],
    *,
    max_array_size: int,
    accounting: bool,
) -> str:
    """Return slurm.conf of a cluster in the folder `here`; `options` are further or other lines, by
    key.
    """
    host = _host()
    lines = {
        "ClusterName": "ditlab",
        "SlurmctldHost": f"{host}(127.0.0.1)",
        "SlurmctldPort": str(ports["ctld"]),
        "SlurmUser": "root",
        "AuthInfo": f"socket={here}/munge/socket,cred_expire=5",
        "CredType": "cred/munge",
        "StateSaveLocation": f"{here}/state",
        "SlurmdSpoolDir": f"{here}/spool-%n",
        "SlurmctldPidFile": f"{here}/slurmctld.pid",
        "SlurmdPidFile": f"{here}/slurmd.%n.pid",
        "SlurmctldLogFile": f"{here}/slurmctld.log",
        "SlurmdLogFile": f"{here}/slurmd.%n.log",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core",
        "SchedulerParameters": ",".join(
            ("sched_interval=2", "batch_sched_delay=0", "bf_interval=2", "sched_min_interval=0")
        ),
        "MpiDefault": "none",
        "ReturnToService": "2",
        "GresTypes": "gpu",
        "JobRequeue": "1",
        "MaxArraySize": str(max_array_size),
        "MaxJobCount": "20000",
        "MinJobAge": "300",
        "SlurmdTimeout": "20",
        "KillWait": "15",
        "UnkillableStepTimeout": "60",
        "PreemptType": "preempt/partition_prio",
        "PreemptMode": "REQUEUE",
        "SlurmctldParameters": "preempt_send_user_signal",
        "SlurmdParameters": "config_overrides",
        **options,
    }
    if accounting:
        lines |= {
            "AccountingStorageType": "accounting_storage/slurmdbd",
            "AccountingStorageHost": "127.0.0.1",
            "AccountingStoragePort": str(ports["dbd"]),
            # the munge socket, in spite of the name
            "AccountingStoragePass": f"{here}/munge/socket",
            "AccountingStorageEnforce": "limits",
            "JobAcctGatherType": "jobacct_gather/linux",
        }
    text = "".join(f"{key}={value}\n" for key, value in lines.items() if value)
    for node in NODES:
        text += f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[node]} "
        text += "CPUs=8 RealMemory=8000 Gres=gpu:4\n"
    text += "PartitionName=gpu Nodes=gpu[01-02] Default=YES MaxTime=1-0 PriorityTier=1 State=UP\n"
    text += "PartitionName=parked Nodes=gpu[01-02] MaxTime=1-0 PriorityTier=1 State=DOWN\n"
    text += "PartitionName=urgent Nodes=gpu[01-02] MaxTime=1-0 PriorityTier=10 "
    text += "PreemptMode=OFF State=UP\n"
    return text


def gres_conf(here: Path) -> str:
    """Return gres.conf: the device files that stand for GPUs."""
    return f"AutoDetect=off\nNodeName=gpu[01-02] Name=gpu File={here}/gpu[0-3]\n"


def slurmdbd_conf(here: Path, ports: dict[str, int]) -> str:
    """Return slurmdbd.conf of the same cluster; the password lies in its folder."""
    return (
        f"AuthType=auth/munge\nAuthInfo=socket={here}/munge/socket\nDbdHost={_host()}\n"
        f"DbdAddr=127.0.0.1\nDbdPort={ports['dbd']}\nSlurmUser=root\nLogFile={here}/slurmdbd.log\n"
        f"PidFile={here}/slurmdbd.pid\nStorageType=accounting_storage/mysql\nStorageHost=127.0.0.1\n"
        f"StoragePort={ports['mariadb']}\nStorageUser=slurm\nStorageLoc=slurm_acct_db\n"
        f"StoragePass={(here / 'db-password').read_text()}\n"
    )


def _host() -> str:
    return socket.gethostname().split(".")[0]
