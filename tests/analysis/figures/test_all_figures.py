"""Every figure: drawn from published numbers and from a study, hostile names included; missing data
named.
"""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from study_frames import own_runs

from analysis.figures import catalogue, style
from analysis.figures.curves import spread
from analysis.figures.provenance import table_hash
from analysis.figures.write import differing, write_all
from analysis.select.sampling_cost import sampling_gmacs
from analysis.select.source import Source, published_source
from dit_core.errors import UserError
from dit_core.study.catalogue.figures import FIGURES, figure_name

NOT_PUBLISHED = {name for name, row in FIGURES.items() if not row.published}
HOSTILE = [
    r"$\foo$",
    "_x",
    "<script>alert(1)</script>",
    "=1+1",
    "NA",
    "12e4567",
    "x" * 5000,
    "🙂\u202e",
    "a\nb\x00",
    "${HOME}",
    "%s{0}",
    r"\input{x}",
]


def study(tmp_path: Path, names: list[str] | None = None) -> Source:
    """Return a study with three training points, two guidance scales, curves and pictures."""
    from PIL import Image

    frame = own_runs()
    parts = [
        frame.assign(images_seen=i * 1000, fd_digits=frame["fd_digits"] * (1 + 2 / i), guidance=g)
        for i in (1, 2, 3)
        for g in (1.0, 2.0)
    ]
    rows = pd.concat(parts, ignore_index=True)
    designs = [
        rows[(rows["model_size"] == "XS") & (rows["patch"] == 2)].assign(conditioning=c)
        for c in ("adaln", "in-context")
    ]
    rows = pd.concat(
        [rows, *(d.assign(run_id=d["run_id"] + d["conditioning"]) for d in designs)],
        ignore_index=True,
    )
    rows["eval_id"] = [f"e{i}" for i in range(len(rows))]
    rows["precision"] = 1 / (1 + rows["fd_digits"])
    rows["recall"] = 0.5
    rows["recall"] += rows["fd_digits"] / 1000
    if names:
        alike = rows[(rows["model_size"] == "XS") & (rows["seed"] == 0)]
        rows = pd.concat(
            [
                alike.assign(
                    model_size=n,
                    name=n,
                    run_id=alike["run_id"] + str(i),
                    params=1e5 + i,
                    fwd_gmacs=alike["fwd_gmacs"] * (1 + i / 4),
                    eval_id=alike["eval_id"] + f"-{i}",
                )
                for i, n in enumerate(names)
            ],
            ignore_index=True,
        )
    rows["train_flops"] = 6e9 * rows["fwd_gmacs"] * rows["images_seen"]
    rows["sampling_gmacs"] = sampling_gmacs(rows)
    runs = rows.drop_duplicates("run_id")
    images = np.arange(1, 101) * 30
    curves = [
        pd.DataFrame({"run_id": r, "images": images, "loss": 1 / np.sqrt(images)})
        for r in runs["run_id"]
    ]
    losses = pd.concat(curves)
    picture = tmp_path / "grid.png"
    Image.fromarray(np.full((40, 40), 128, np.uint8)).save(picture)
    return Source(
        "digits",
        f"Study {names[0] if names else 'digits'}",
        rows,
        runs,
        losses,
        "fd_digits",
        {e: picture for e in rows["eval_id"]},
        "0123456789abcdef",
    )


def texts(fig) -> str:
    return "\n".join(t.get_text() for t in fig.findobj(lambda a: hasattr(a, "get_text")))


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in FIGURES if n not in NOT_PUBLISHED])
def test_published_figures_say_n_protocol_and_source(name):
    fig = catalogue.draw(name, published_source())
    words = texts(fig)
    style._plt().close(fig)
    assert re.search(r"\d+ of \d+ runs", words)
    assert "protocol" in words
    assert re.search(
        r"table [0-9a-f]{12} · (commit [0-9a-f]{10} · )?ditlab ", words.replace("\n", " ")
    )


@pytest.mark.parametrize("name", sorted(NOT_PUBLISHED))
def test_what_is_not_published_says_the_command(name):
    with pytest.raises(UserError, match=r"`ditlab figures STUDY` draws it"):
        catalogue.draw(name, published_source())


@pytest.mark.slow
def test_all_figures_of_a_study_and_the_check(tmp_path):
    source = study(tmp_path)
    done = write_all(source, tmp_path / "out", list(FIGURES), formats=["png"])
    assert not done.missing
    assert len([p for p in done.files if p.suffix == ".png"]) == len(FIGURES)

    def again(folder: Path):
        return write_all(source, folder, ["conditioning"], formats=["png"])

    assert differing(tmp_path / "out", again) == []
    changed = tmp_path / "out" / "figure05-conditioning.png"
    changed.write_bytes(changed.read_bytes() + b" ")
    (tmp_path / "out" / "table4.csv").unlink()
    assert differing(tmp_path / "out", again) == ["figure05-conditioning.png", "table4.csv"]


@pytest.mark.slow
@pytest.mark.parametrize("name", list(FIGURES))
def test_hostile_names_in_every_figure(name, tmp_path):
    """Names that look like mathematics, markup, formulas, private text, five thousand letters."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fig = catalogue.draw(name, study(tmp_path, HOSTILE))
        words = texts(fig)
        svg = style.save(fig, tmp_path / "f", ["svg"])[0].read_text()
    assert "<script" not in svg
    assert "\u202e" not in words
    assert "\x00" not in words
    assert len(max(words.splitlines(), key=len)) < 420
    seen = sum(style.clean(n, 24)[:10] in words for n in HOSTILE)
    print(f"{name}: {seen} of {len(HOSTILE)} hostile names in the picture")
    assert seen == len(HOSTILE) or (name == "conditioning" and seen == 1)  # it shows one model


def test_legend_shows_names_that_begin_with_an_underscore():
    from analysis.figures.curves import Look, legend

    fig, ax = style.new_figure()
    legend(ax, [Look("_hidden", "k"), Look("shown", "k")])
    assert [t.get_text().strip() for t in ax.get_legend().get_texts()] == ["_hidden", "shown"]
    style._plt().close(fig)


def test_clean_names():
    assert style.clean("a\nb\x00c") == "a b c"
    assert style.clean("x" * 50, 10) == "x" * 9 + "…"
    assert style.clean("\u200b") == "(no name)"
    assert "\N{REPLACEMENT CHARACTER}" in style.clean("🙂")
    same = ["NA", "12e4567", "_x", "=1+1", r"$\foo$"]
    assert [style.clean(s) for s in same] == same


def test_sizes_are_told_apart_in_grey():
    colours = style.size_colours(["XL", "S", "L", "B"])
    assert list(colours) == ["S", "B", "L", "XL"]
    light = [0.299 * r + 0.587 * g + 0.114 * b for r, g, b, _ in colours.values()]
    assert light == sorted(light)
    assert min(np.diff(light)) > 0.1


def test_training_curves_count_the_runs_of_all_designs(tmp_path):
    fig = catalogue.draw("loss-curves", study(tmp_path))
    assert "18 of 22 runs; 4 with another conditioning not drawn" in texts(fig).replace("\n", " ")
    style.close(fig)


def test_guidance_rises_and_a_scale_below_one_is_shown(tmp_path):
    from dataclasses import replace

    source = study(tmp_path)
    rows = source.results[source.results["images_seen"] == 3000]
    scales = [rows[rows["guidance"] == 2.0].assign(guidance=g) for g in (3.0, 0.5)]
    for scale, letter in zip(scales, "ab", strict=True):
        scale["eval_id"] = scale["eval_id"] + letter
    rows = pd.concat([rows, *scales], ignore_index=True)
    pictures = dict.fromkeys(rows["eval_id"], next(iter(source.pictures.values())))
    fig = catalogue.draw("guided-samples", replace(source, results=rows, pictures=pictures))
    titles = [ax.get_title(loc="left") or ax.get_title() for ax in fig.axes]
    style.close(fig)
    assert [t for t in titles if t] == ["guidance 0.5", "guidance 2", "guidance 3"]


def test_a_number_for_every_tick():
    shown = [style.plain(v) for v in (0, 0.001, 1, 250, 10000.0, 1e9, 2e-7)]
    assert shown == ["0", "0.001", "1", "250", "10,000", "10⁹", "2×10⁻⁷"]
    assert [style.count(v) for v in (400, 96000, 102.4e6, 1.792e9)] == [
        "400",
        "96K",
        "102M",
        "1.79B",
    ]


def test_labels_are_spread_and_stay_inside():
    places = spread([10, 10, 11, 90], 12, 0, 100)
    assert min(np.diff(sorted(places))) >= 12 - 1e-6
    assert 0 <= min(places) <= max(places) <= 100


def test_table_hash_knows_content_and_not_order():
    frame = own_runs()
    assert table_hash(frame) == table_hash(
        frame.sample(frac=1, random_state=1)[sorted(frame.columns)]
    )
    other = frame.copy()
    other.loc[0, "fd_digits"] += 1e-9
    assert table_hash(frame) != table_hash(other)


def test_figures_by_name_and_number():
    assert figure_name("8") == figure_name("gmacs-quality") == "gmacs-quality"
    with pytest.raises(ValueError, match="did you mean 'gmacs-quality'"):
        figure_name("gmacs-qualty")


def run_cli(*words: str) -> int:
    from dit_core.cli.app import main

    with pytest.raises(SystemExit) as left:
        main(list(words))
    return int(left.value.code or 0)


@pytest.mark.slow
def test_command_draws_one_published_figure_and_checks_it(tmp_path, capsys):
    words = ["figures", "published", "--only", "8", "--formats", "png", "--out", str(tmp_path)]
    assert run_cli(*words, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert sum(f.endswith(".png") for f in document["files"]) == 1
    assert run_cli(*words, "--check") == 0
    (tmp_path / "figure08-gmacs-quality.png").write_bytes(b"")
    assert run_cli(*words, "--check") == 1
    assert "figure08-gmacs-quality.png" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "81"], "no figure '81'"),
        (["--formats", "gif"], "allowed are png, svg, pdf"),
        (["--where", "patch"], "write COLUMN=VALUE"),
        (["--where", "pach=2"], "did you mean 'patch'"),
        (["--where", "patch=3"], "no row with patch = 3"),
        (["--only", "loss-curves"], "no published values"),
    ],
)
def test_command_names_what_is_wrong(words, message, capsys, tmp_path):
    assert run_cli("figures", "published", "--out", str(tmp_path / "x"), *words) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_wanted_figure_that_cannot_be_drawn_does_not_stop_the_others(capsys, tmp_path):
    words = [
        "figures",
        "published",
        "--only",
        "loss-curves,8",
        "--formats",
        "png",
        "--out",
        str(tmp_path),
    ]
    assert run_cli(*words) == 0
    said = capsys.readouterr()
    assert "not drawn: loss-curves: the paper's figure 13 has no published values" in said.err
    assert (tmp_path / "figure08-gmacs-quality.png").is_file()
    assert list(tmp_path.glob("*.md"))


def test_unknown_study_is_named(capsys, tmp_path):
    assert run_cli("figures", "nothing", "--results", str(tmp_path)) == 2
    assert "nothing" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["loss-curves", "sampling-compute"])
def test_the_legend_of_many_models_covers_no_other_words(name):
    from study_frames import many

    fig = catalogue.draw(name, many(120))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # axes that collapsed
        style.settle(fig)
    fig.canvas.draw()
    footer = fig._supxlabel.get_window_extent()
    for ax in fig.axes:
        legend = ax.get_legend().get_window_extent()
        assert legend.y0 > footer.y1
        assert legend.y1 <= fig.bbox.y1
        assert "more" in ax.get_legend().get_texts()[-1].get_text()
