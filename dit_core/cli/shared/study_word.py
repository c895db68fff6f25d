"""What stands for a study on the command line of reading commands: its name, or its YAML file."""

from __future__ import annotations

from pathlib import Path


def study_name(word: str) -> str:
    """Return the study's name: the word itself, or the name in the YAML file it points to."""
    if not word.endswith((".yaml", ".yml")):
        return word
    from dit_core.study.language.spec import load_study

    return load_study(Path(word)).name
