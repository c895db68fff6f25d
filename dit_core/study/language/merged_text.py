"""The text of a study with what it extends written into it: it reads back without other files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from dit_core.study.language.yaml_loader import Node, plain_scalar


class _Dumper(yaml.SafeDumper):
    """Writes what the strict reader reads: no aliases; words that look like numbers are quoted."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write every value out."""
        return True


def merged_text(top: Node, path: Path, parents: Sequence[Path]) -> str:
    """Return the merged tree of a study as YAML; a comment names the files it comes from."""
    files = [path.name, *(_relative(parent, path.parent) for parent in parents)]
    head = "# Merged when the study was read, from " + " and ".join(files) + ".\n"
    document = yaml.dump(
        top.plain(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )
    return head + document


def _relative(parent: Path, folder: Path) -> str:
    return str(parent.relative_to(folder)) if parent.is_relative_to(folder) else parent.name


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    """Return a string; YAML 1.1, which the dumper follows, takes `1e-4` for one without quotes."""
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", value, style=None if _is_word(value) else '"'
    )


def _is_word(value: str) -> bool:
    try:
        return bool(plain_scalar(value) == value)
    except ValueError:
        return False


_Dumper.add_representer(str, _text)
