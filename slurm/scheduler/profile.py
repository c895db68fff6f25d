"""A cluster profile: what one site wants to hear from sbatch, in a file of the user's own.

Values must match an allow-list of characters: sbatch reads its options from a script, so a newline
in a value would be a command. Set-up lines are shell by nature; they come from this file alone,
never from a study.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError, field_validator

from dit_core.errors import UserError, nearest
from dit_core.records.disk.owner import refuse_foreign
from dit_core.study.science.science import Frozen, Positive

DEFAULT_FILE = Path("~/.config/ditlab/clusters.yaml")
MAX_BYTES = 1_000_000

_WORD = re.compile(r"[A-Za-z0-9_@+=:,./\[\]-]{1,256}")
_VALUE = re.compile(r"[A-Za-z0-9_@+=:,./~ \[\]-]{0,1024}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
# Further options of sbatch that a profile may set. What ditlab sets itself (name, array, output, …)
# is not here.
EXTRA = (
    "reservation",
    "nodelist",
    "exclude",
    "licenses",
    "mail-user",
    "mail-type",
    "nice",
    "tmp",
    "switches",
    "wckey",
    "gres",
    "clusters",
    "comment",
    "exclusive",
    "mem-per-gpu",
    "mem-per-cpu",
    "cpus-per-gpu",
    "network",
    "hint",
)
_MANAGED = re.compile(r"SLURM_|SBATCH_|PYTHONPATH$|PYTHONSAFEPATH$|DITLAB_")


def _word(value: str) -> str:
    if not _WORD.fullmatch(value):
        bad = sorted({c for c in value if not _WORD.fullmatch(c)}) or [
            "(empty)" if not value else "(too long)"
        ]
        raise ValueError(
            f"{value!r} may hold letters, digits and _@+=:,./[]- only; not "
            f"{' '.join(map(repr, bad))}"
        )
    return value


def _features(value: str) -> str:
    for part in re.split(r"[&|*()]", value):
        if part:
            _word(part)
    return value


Word = Annotated[str, AfterValidator(_word)]
Features = Annotated[str, AfterValidator(_features)]


class Profile(Frozen):
    """How runs are requested on one cluster.

    Unset fields leave the choice to the site's defaults.
    """

    partition: Word | None = None
    """Partition, or several separated by commas."""
    account: Word | None = None
    """Account that is charged."""
    qos: Word | None = None
    """Quality of service."""
    gpus_per_node: Annotated[int, Field(ge=0)] = 1
    """GPUs a node has; 0 for a cluster of CPUs."""
    gpu_type: Word | None = None
    """GPU type as `scontrol show node` names it, such as a100."""
    processes_per_node: Positive | None = None
    """Processes of one run that share a node; null is `gpus_per_node`."""
    cpus_per_process: Positive = 4
    """CPU cores per process."""
    memory_gb: Positive | None = None
    """Memory per node in GB."""
    minutes: Positive = 240
    """Time limit of a training task. A run that needs longer resumes in the next task."""
    evaluation_minutes: Positive | None = None
    """Time limit of an evaluation task; null is `minutes`."""
    constraint: Features | None = None
    """Node features, in Slurm's own notation."""
    concurrency: Positive = 64
    """Tasks of one array that may run at once."""
    max_queued: Positive | None = None
    """Tasks of this user queued or running at once; null takes the site's limits only."""
    runs_per_job: Positive = 1
    """Runs that one task executes in turn; more than one saves the start-up time of short runs."""
    requeue: Literal["slurm", "ditlab"] = "slurm"
    """Who restarts a stopped run: Slurm requeues the task, or the next `ditlab submit` does."""
    evaluations: Literal["apart", "together"] = "apart"
    """Evaluations as tasks of their own, started once their weights exist, or in the training's."""
    signal_s: Annotated[int, Field(ge=10, le=3600)] = 90
    """Seconds before the time limit at which a task is told to save and leave."""
    setup: tuple[str, ...] = ()
    """Shell lines before the worker starts, such as `module load cuda`."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Variables for the worker."""
    extra: dict[str, Word | bool] = Field(default_factory=dict)
    """Further sbatch options, by their long names."""
    python: Word | None = None
    """Interpreter on the nodes; null is the one that submits."""
    data_roots: dict[str, str] = Field(default_factory=dict)
    """Where data sets lie on the cluster; overrides the study's `execution.data_roots`."""

    @field_validator("setup", mode="before")
    @classmethod
    def _one_line_each(cls, lines: Any) -> Any:
        lines = tuple(lines) if isinstance(lines, list) else lines
        for line in lines if isinstance(lines, tuple) else ():
            if not isinstance(line, str) or not line.isprintable() or len(line) > 1024:
                raise ValueError(f"{line!r}: one printable line of shell per entry")
        return lines

    @field_validator("environment")
    @classmethod
    def _plain_variables(cls, variables: dict[str, str]) -> dict[str, str]:
        for name, value in variables.items():
            if not _NAME.fullmatch(name) or _MANAGED.match(name):
                raise ValueError(
                    f"{name!r} cannot be set here: not a variable's name, or one that ditlab sets "
                    "itself"
                )
            if not _VALUE.fullmatch(value):
                raise ValueError(f"{name}={value!r}: letters, digits, blanks and _@+=:,./~[]- only")
        return variables

    @field_validator("extra")
    @classmethod
    def _known_options(cls, options: dict[str, Word | bool]) -> dict[str, Word | bool]:
        for key in options:
            if key not in EXTRA:
                raise ValueError(
                    f"{key!r} is not an option a profile may set{nearest(key, EXTRA)}; allowed: "
                    f"{', '.join(EXTRA)}"
                )
        return options

    def per_node(self) -> int:
        """Return how many processes of one run share a node."""
        return self.processes_per_node or max(self.gpus_per_node, 1)

    def shape(self, processes: int) -> tuple[int, int]:
        """Return (nodes, tasks per node) for a run of `processes`.

        Raises UserError where they do not fill whole nodes.
        """
        per_node = min(self.per_node(), processes)
        if self.gpus_per_node and per_node > self.gpus_per_node:
            raise UserError(
                f"processes_per_node {per_node} needs one GPU each, but a node has gpus_per_node "
                f"{self.gpus_per_node}"
            )
        if processes % per_node:
            fits = [p for p in range(1, 4 * per_node + 1) if p % min(per_node, p) == 0]
            raise UserError(
                f"execution.processes {processes} does not fill nodes of {per_node} processes; "
                f"these do: {fits}"
            )
        return processes // per_node, per_node


def load_profile(name: str, file: Path | None = None) -> Profile:
    """Return profile `name` of a clusters file (default ~/.config/ditlab/clusters.yaml).

    Raises UserError naming the file, the key and the nearest known one. A file that others may
    write is refused: its set-up lines run as you.
    """
    profiles = read_profiles(file)
    path = clusters_file(file)
    if name not in profiles:
        raise UserError(
            f"{path}: no profile {name!r}{nearest(name, profiles)}; it has: "
            f"{', '.join(profiles) or 'none'}"
        )
    return parse_profile(profiles[name], f"{path}: {name}")


def read_profiles(file: Path | None = None) -> dict[str, Any]:
    """Return the raw profiles of a clusters file by name."""
    path = clusters_file(file)
    try:
        status = path.stat()
        refuse_foreign(path, "its set-up lines run as you")
        if stat.S_ISDIR(status.st_mode):
            raise UserError(
                f"{path}: is a folder; give the YAML file of the profiles, as "
                f"{path / DEFAULT_FILE.name}"
            )
        if status.st_size > MAX_BYTES:
            raise UserError(f"{path}: larger than {MAX_BYTES} bytes, which no profile file is")
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; `ditlab clusters --write` proposes one from this cluster"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise UserError(f"{path}: is no mapping of profile names to profiles")
    return document


def parse_profile(raw: Any, where: str) -> Profile:
    """Return the profile in a plain mapping.

    Raises UserError naming `where`, each wrong key and what is allowed.
    """
    if not isinstance(raw, dict):
        raise UserError(f"{where}: is no mapping; keys are {', '.join(Profile.model_fields)}")
    try:
        return Profile.model_validate(raw)
    except ValidationError as error:
        raise UserError(
            "\n".join(f"{where}.{_explain(problem)}" for problem in error.errors())
        ) from None


def _explain(problem: Any) -> str:
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        keys = Profile.model_fields
        return f"{path}: unknown key{nearest(path, keys)}; keys are {', '.join(keys)}"
    return (
        f"{path}: {problem['msg'].removeprefix('Value error, ')} (given: {problem['input']!r:.80})"
    )


def clusters_file(file: Path | None) -> Path:
    """Return the clusters file: the one given, $DITLAB_CLUSTERS, or the one in the home folder."""
    return (file or Path(os.environ.get("DITLAB_CLUSTERS", DEFAULT_FILE))).expanduser()


class _Loader(yaml.SafeLoader):
    """Plain YAML: aliases and repeated keys are errors, since both hide what is meant."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse aliases."""
        if self.check_event(yaml.AliasEvent):
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]  # no stub
            raise yaml.YAMLError(f"line {line}: aliases are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Refuse a key that stands twice."""
        seen: set[Any] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.YAMLError(
                    f"line {key.start_mark.line + 1}: key {key.value!r} stands twice"
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def key_table() -> str:
    """Return the keys of a profile as rows of a Markdown table, as docs/slurm.md has them."""
    rows = []
    for name, info in Profile.model_fields.items():
        default = "none" if info.default is None else info.get_default(call_default_factory=True)
        plain = "none" if default in ((), {}) else default
        rows.append(f"| `{name}` | {plain} | {info.description} |\n")
    return "".join(rows)
