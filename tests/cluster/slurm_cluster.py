"""A real Slurm on this machine, in a folder of its own: munge, slurmctld, two slurmd with four GPUs
each.

Nothing outside the folder is touched: keys, sockets, ports, state and pid files are its own, so
several clusters can be up at once and a site's own Slurm is left alone. Daemons are stopped by
their pid files, never by name.

By hand: `python tests/cluster/slurm_cluster.py up FOLDER [--accounting]`, later `… down FOLDER`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from debian_packages import install, missing, which
from slurm_conf import NODES, gres_conf, slurm_conf, slurmdbd_conf
from slurm_daemon import alive, free_ports, start_daemon, until


@dataclass
class Cluster:
    """One cluster; `options` are further or other lines of slurm.conf, by key."""

    folder: Path
    accounting: bool = False
    max_array_size: int = 1001
    options: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def conf(self) -> Path:
        """Return the slurm.conf of this cluster."""
        return self.folder / "slurm.conf"

    @property
    def env(self) -> dict[str, str]:
        """Return the environment under which Slurm's commands talk to this cluster."""
        return {**os.environ, "SLURM_CONF": str(self.conf)}

    def up(self) -> Cluster:
        """Bring everything up and wait until both nodes are idle; take it down again where that
        fails.
        """
        try:
            self._prepare()
            self.start_munge()
            if self.accounting:
                self.start_database()
                self.start_slurmdbd()
            self.start_slurmctld()
            for node in NODES:
                self.start_slurmd(node)
            self.wait_for_nodes()
        except BaseException:
            self.down()
            raise
        return self

    def down(self) -> None:
        """Cancel every job and stop every daemon of this cluster."""
        if self.running("slurmctld"):
            with contextlib.suppress(subprocess.SubprocessError):
                self.cancel_all()
        for name in [*(f"slurmd.{n}" for n in NODES), "slurmctld", "slurmdbd", "mariadb", "munged"]:
            self.stop(name)
        for step in self._steps():
            with contextlib.suppress(ProcessLookupError):
                os.kill(step, signal.SIGKILL)

    def cancel_all(self) -> None:
        """Kill every job at once, and wait until none is left."""
        jobs = sorted(set(self.run("squeue", "-h", "-o", "%A").stdout.split()))
        for part in (jobs[i : i + 100] for i in range(0, len(jobs), 100)):
            self.run("scancel", "--state=PENDING", *part)
            self.run("scancel", "--full", "--signal=KILL", *part)
            self.run("scancel", *part)
        until(lambda: not self.run("squeue", "-h", "-o", "%A").stdout.split(), 30, fail=False)

    def run(
        self, *command: str, timeout: float = 30, check: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run one of Slurm's commands against this cluster."""
        return subprocess.run(
            command,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=check,
            stdin=subprocess.DEVNULL,
        )

    # Daemons, one by one, so that a test can take one away and bring it back.

    def start_munge(self) -> None:
        """Start munged with this cluster's own key and socket."""
        run = self.folder / "munge"
        start_daemon(
            "munged",
            f"--key-file={run / 'key'}",
            f"--socket={run / 'socket'}",
            f"--pid-file={self.pid_file('munged')}",
            f"--log-file={run / 'log'}",
            f"--seed-file={run / 'seed'}",
            "--num-threads=2",
        )
        until((run / "socket").exists, 5)

    def start_database(self) -> None:
        """Start a mariadbd whose data lie in the folder, and make the account that slurmdbd
        uses.
        """
        data = self.folder / "db"
        log = self.folder / "mariadb.log"
        port = self.ports["mariadb"]
        if not data.exists():
            data.mkdir()
            shutil.chown(data, "mysql", "mysql")
            subprocess.run(
                [
                    "mariadb-install-db",
                    "--user=mysql",
                    f"--datadir={data}",
                    "--skip-test-db",
                    "--auth-root-authentication-method=socket",
                ],
                check=True,
                capture_output=True,
                timeout=60,
            )
        with open(log, "ab") as out:
            process = subprocess.Popen(
                [
                    str(which("mariadbd")),
                    "--no-defaults",
                    "--user=mysql",
                    f"--datadir={data}",
                    f"--socket={data}/socket",
                    f"--port={port}",
                    "--bind-address=127.0.0.1",
                    f"--pid-file={data}/pid",
                    "--innodb-buffer-pool-size=32M",
                    "--innodb-flush-log-at-trx-commit=0",
                    "--skip-log-bin",
                    "--innodb-lock-wait-timeout=900",
                ],
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.pid_file("mariadb").write_text(str(process.pid))

        def client(sql: str) -> bool:
            base = ["mariadb", "--no-defaults", f"--socket={data}/socket", "-e", sql]
            return (
                subprocess.run(
                    base, check=False, capture_output=True, stdin=subprocess.DEVNULL
                ).returncode
                == 0
            )

        until(lambda: client("select 1"), 30)
        password = (self.folder / "db-password").read_text()
        for sql in (
            "create database if not exists slurm_acct_db",
            f"create user if not exists 'slurm'@'127.0.0.1' identified by '{password}'",
            "grant all on slurm_acct_db.* to 'slurm'@'127.0.0.1'",
        ):
            if not client(sql):
                raise RuntimeError(f"mariadb refused: {sql.split(' identified')[0]}")

    def start_slurmdbd(self) -> None:
        """Start slurmdbd and register the cluster once."""
        start_daemon("slurmdbd", env=self.env)
        until(lambda: self.running("slurmdbd"), 10)
        until(lambda: self.run("sacctmgr", "-n", "list", "cluster").returncode == 0, 20)
        if "ditlab" not in self.run("sacctmgr", "-nP", "list", "cluster").stdout:
            for words in (
                ["add", "cluster", "ditlab"],
                ["add", "account", "lab", "description=lab", "organization=lab"],
                ["add", "user", "root", "account=lab"],
            ):
                self.run("sacctmgr", "-i", *words, check=True)

    def start_slurmctld(self) -> None:
        """Start the controller on its saved state and wait until it answers."""
        start_daemon("slurmctld", "-f", str(self.conf), env=self.env)
        until(lambda: "UP" in self.run("scontrol", "ping").stdout, 20)

    def start_slurmd(self, node: str) -> None:
        """Start the daemon of one node."""
        start_daemon("slurmd", "-N", node, "-f", str(self.conf), env=self.env)
        until(lambda: self.running(f"slurmd.{node}"), 10)

    def wait_for_nodes(self, seconds: float = 30) -> None:
        """Wait until both nodes can take jobs; raise RuntimeError with what sinfo says where they
        cannot.
        """

        def ready() -> bool:
            states = self.run("sinfo", "-h", "-N", "-p", "gpu", "-o", "%t").stdout.split()
            return len(states) == len(NODES) and all(s in ("idle", "mix", "alloc") for s in states)

        if not until(ready, seconds, fail=False):
            raise RuntimeError("nodes did not come up:\n" + self.run("sinfo", "-N", "-l").stdout)

    def stop(self, name: str, *, hard: bool = False) -> None:
        """Stop one daemon (slurmctld, slurmd.gpu01, slurmdbd, mariadb, munged) by its pid file;
        wait for its end.
        """
        pid = self._pid(name)
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL if hard else signal.SIGTERM)
        if not until(lambda: not alive(pid), 15, fail=False):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            until(lambda: not alive(pid), 5)
        self.pid_file(name).unlink(missing_ok=True)

    def running(self, name: str) -> bool:
        """Return whether the daemon's pid file names a living process."""
        return self._pid(name) is not None

    def pid_file(self, name: str) -> Path:
        """Return where a daemon keeps its process id."""
        return self.folder / "munge" / "pid" if name == "munged" else self.folder / f"{name}.pid"

    def configure(self, **options: str) -> None:
        """Change lines of slurm.conf and let every daemon read them again."""
        self.options.update(options)
        self._write_conf()
        self.run("scontrol", "reconfigure", check=True)
        until(lambda: "UP" in self.run("scontrol", "ping").stdout, 20)

    def _pid(self, name: str) -> int | None:
        try:
            pid = int(self.pid_file(name).read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if alive(pid) else None

    def _steps(self) -> Iterator[int]:
        """Yield slurmstepd processes that this cluster's nodes left behind: their command names our
        spool folder.
        """
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                environ = (entry / "environ").read_bytes().split(b"\0")
                command = (entry / "cmdline").read_bytes()
                if b"SLURM_CONF=" + bytes(self.conf) in environ and b"slurmstepd" in command:
                    yield int(entry.name)

    def _prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        munge = self.folder / "munge"
        munge.mkdir(exist_ok=True)
        munge.chmod(0o755)
        if not (munge / "key").exists():
            (munge / "key").write_bytes(secrets.token_bytes(128))
            (munge / "key").chmod(0o400)
            (self.folder / "db-password").touch(mode=0o600)
            (self.folder / "db-password").write_text(secrets.token_hex(12))
        for folder in ("state", "spool-gpu01", "spool-gpu02"):
            (self.folder / folder).mkdir(exist_ok=True)
        for i in range(4):
            # Slurm hands out device files; four times /dev/null under other names will do.
            if not (self.folder / f"gpu{i}").exists():
                os.mknod(self.folder / f"gpu{i}", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        names = ["ctld", "gpu01", "gpu02", "dbd", "mariadb"]
        self.ports = self.ports or dict(zip(names, free_ports(len(names)), strict=True))
        self._write_conf()

    def _write_conf(self) -> None:
        here = self.folder
        most = self.max_array_size
        text = slurm_conf(
            here, self.ports, self.options, max_array_size=most, accounting=self.accounting
        )
        self.conf.write_text(text)
        (here / "gres.conf").write_text(gres_conf(here))
        if self.accounting:
            conf = here / "slurmdbd.conf"
            conf.write_text(slurmdbd_conf(here, self.ports))
            conf.chmod(0o600)


def main() -> None:
    """Bring a cluster up or take it down by hand, or install what the tests need."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["up", "down", "install"])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("/tmp/ditlab-cluster"))
    parser.add_argument("--accounting", action="store_true")
    args = parser.parse_args()
    if args.what == "install":
        print(install())
        return
    cluster = Cluster(args.folder.absolute(), accounting=args.accounting)
    if args.what == "down":
        cluster.down()
        print(f"cluster in {cluster.folder} is down")
        return
    if lacking := missing(accounting=args.accounting):
        print(f"error: {lacking}", file=sys.stderr)
        raise SystemExit(3)
    start = time.monotonic()
    cluster.up()
    print(
        f"up in {time.monotonic() - start:.1f} s: two nodes, four GPUs each, partitions gpu and "
        "urgent\n"
    )
    print(f"  export SLURM_CONF={cluster.conf}")
    print(f"  python tests/cluster/slurm_cluster.py down {args.folder}     # when done")


if __name__ == "__main__":
    main()
