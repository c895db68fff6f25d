"""From a page's values to one HTML document that fetches nothing and runs only its own script."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

from analysis.report.collect import Page

_HERE = Path(__file__).parent
_MARKS = {"SUPPORTED": "\N{CHECK MARK}", "REFUTED": "\N{MULTIPLICATION X}", "UNDECIDED": "?"}


def render(page: Page, refresh_s: int | None = None) -> str:
    """Return the page as HTML: every value escaped, style and script allowed by their hashes alone.

    `refresh_s` makes the page reload itself, for a study that still runs.
    """
    import jinja2
    from markupsafe import Markup

    # Trusted text of this package alone is passed as markup; all values of a study go through
    # autoescape.
    css, js = ((_HERE / f"page.{ending}").read_text(encoding="utf-8") for ending in ("css", "js"))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=False,
    )
    environment.filters["num"] = _number
    verdicts: Counter[str] = Counter(claim.verdict for claim in page.claims)
    return environment.get_template("page.html.j2").render(
        page=page,
        refresh_s=refresh_s if not page.done else None,
        policy=_policy(css, js),
        css=Markup(css),
        js=Markup(js),
        data=Markup(script_json(page.curves)),
        marks=_MARKS,
        counts=", ".join(f"{verdicts[v]} {v.lower()}" for v in _MARKS),
    )


def script_json(value: Any) -> str:
    """Return JSON for a script element: nothing in it can end the element or begin a comment."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(css: str, js: str) -> str:
    style, script = (
        f"'sha256-{base64.b64encode(hashlib.sha256(t.encode()).digest()).decode()}'"
        for t in (css, js)
    )
    return (
        f"default-src 'none'; img-src data:; style-src {style}; script-src {script}; "
        "base-uri 'none'; form-action 'none'"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}".replace("-", "\N{MINUS SIGN}")
