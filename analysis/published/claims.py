"""The claims shipped with the published numbers, and 42 statements checked against the paper."""

from __future__ import annotations

import pandas as pd
import yaml

from analysis.published import numbers as published
from dit_core.study.science.claim_kinds import Claim, parse_claim

HOLDS = {
    "confirmed": "holds",
    "imprecise": "holds roughly",
    "unsupported": "not shown",
    "missing": "left out",
    "contradicted": "does not hold",
    "different system": "of another system",
}


def core_claims() -> tuple[Claim, ...]:
    """Return the paper's seven core claims, worded for its published numbers."""
    text = (published.folder() / "claims.yaml").read_text(encoding="utf-8")
    return tuple(parse_claim(entry) for entry in yaml.safe_load(text))


def statements() -> pd.DataFrame:
    """Return the 42 statements: id, topic, stated, what the paper says, status, holds."""
    rows = published.table("document_claims")
    rows["id"] = rows["id"].astype(int)
    return rows.assign(holds=rows["status"].map(HOLDS))
