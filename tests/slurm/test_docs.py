"""docs/slurm.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from dit_core.cli.app import COMMANDS
from dit_core.records.run_state import STATES
from slurm.scheduler.profile import key_table, parse_profile
from slurm.submission.decide import TAKEN_UP

TEXT = (Path(__file__).parents[2] / "docs" / "slurm.md").read_text()


def test_every_key_of_a_profile_is_documented():
    assert key_table() in TEXT


def test_every_state_is_documented_with_what_is_done_about_it():
    rows = re.findall(r"^\| ((?:`\w+` ?)+)\|.*\| (.*?) \|$", TEXT, re.M)
    words = {word: what for cell, what in rows for word in re.findall(r"`(\w+)`", cell)}
    for state in STATES:
        assert words[state].startswith("yes") == (state in TAKEN_UP), state


def test_the_example_is_a_profile():
    blocks = re.findall(r"```yaml\n(.*?)```", TEXT, re.S)
    assert parse_profile(yaml.safe_load(blocks[0])["gpu"], "docs").gpus_per_node == 8


def test_every_command_exists():
    called = set(re.findall(r"^ditlab (\w+)", TEXT, re.M))
    assert called == {"clusters", "submit", "status", "why", "logs", "cancel", "retry"}
    assert called | {"watch"} <= COMMANDS.keys()
