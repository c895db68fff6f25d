"""`ditlab query`: answers, formats, and what hostile or mistaken SQL may do: nothing."""

from __future__ import annotations

import contextlib
import json
import math
import os
import time

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from synthetic_store import fill

from analysis.tables import load, query
from analysis.tables.index import update
from analysis.write import formats
from analysis.write.terminal import fitted
from dit_core.cli import app
from dit_core.cli.results.query import repeat
from dit_core.errors import UserError
from dit_core.records.paths import Store


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    fill(Store(folder), 48, points=5, evals=3)
    load.runs(folder)
    return folder


@pytest.fixture
def ask(root, capsysbinary):
    """Run `ditlab query …` and return (exit code, standard output, standard error)."""

    def call(*words):
        with pytest.raises(SystemExit) as leaving:
            app.main(["query", "--results", str(root), "--no-update", *words])
        out = capsysbinary.readouterr()
        return leaving.value.code, out.out.decode(), out.err.decode()

    return call


def test_sql_and_options_give_the_same(ask):
    sql = (
        "SELECT model_patch, fd_digits FROM results WHERE model_size = 'XS' ORDER BY fd_digits DESC"
    )
    plain = [
        "--table",
        "evals",
        "--where",
        "model.size=XS",
        "--columns",
        "model.patch,fd_digits",
        "--sort",
        "-fd_digits",
    ]
    code, one, _ = ask(sql, "--json")
    rows = json.loads(one)
    assert code == 0
    assert len(rows) == 16 * 3
    assert json.loads(ask(*plain, "--sort", "-fd_digits", "--json")[1]) == rows
    assert [r["fd_digits"] for r in rows] == sorted((r["fd_digits"] for r in rows), reverse=True)


CONDITIONS = {
    "steps=10,50": lambda f: f["steps"].isin([10, 50]),
    "steps!=10": lambda f: f["steps"] != 10,
    "steps>=25": lambda f: f["steps"] >= 25,
    "fd_digits<100": lambda f: f["fd_digits"] < 100,
    "model.size~XX*": lambda f: f["model_size"].str.startswith("XX"),
    "model.qk_norm=false": lambda f: ~f["model_qk_norm"],
    "train.clip=null": lambda f: f["train_clip"].isna(),
    "train.clip!=null": lambda f: f["train_clip"].notna(),
    'name=it\'s "x"; DROP': lambda f: f["name"] == "",
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_conditions(ask, root, condition):
    code, out, err = ask(
        "--table", "results", "--where", condition, "--columns", "eval_id", "--json"
    )
    frame = load.results(root)
    assert code == 0, err
    assert {r["eval_id"] for r in json.loads(out)} == set(
        frame[CONDITIONS[condition](frame)]["eval_id"]
    )


def test_pivot(ask, root):
    one = [
        "--table",
        "evals",
        "--where",
        "steps=10",
        "--where",
        "conditioning=adaln",
        "--columns",
        "fd_digits",
    ]
    code, out, _ = ask(*one, "--pivot", "model.size,model.patch", "--json")
    rows = {r["model_size"]: r for r in json.loads(out)}
    frame = load.results(root)
    for row in frame[(frame["steps"] == 10) & (frame["conditioning"] == "adaln")].itertuples():
        assert rows[row.model_size][f"model_patch={row.model_patch}"] == row.fd_digits
    assert list(rows) == ["XXXS", "XXS", "XS"]
    wide = [*one[:4], "--columns", "fd_digits", "--pivot", "model.size,model.patch"]
    code, _, err = ask(*wide)
    assert code == 2
    assert "4 values of fd_digits" in err
    code, out, _ = ask(
        *one[:4],
        "--columns",
        "fd_digits",
        "--pivot",
        "model.size,model.patch",
        "--aggregate",
        "count",
        "--json",
    )
    assert {r["model_patch=1"] for r in json.loads(out)} == {4}


def test_study_option(ask, root):
    code, out, _ = ask("--study", "made", "--columns", "run_id,study,name", "--json")
    assert {r["study"] for r in json.loads(out)} == {"made"}
    assert len(json.loads(out)) == 48
    code, _, err = ask("--study", "mad")
    assert code == 2
    assert "did you mean 'made'?" in err


def test_published_joins(ask):
    sql = (
        "SELECT p.model, r.model_size FROM published.dit_scaling p "
        "LEFT JOIN runs r ON r.model_size = p.size LIMIT 3"
    )
    assert len(json.loads(ask(sql, "--json")[1])) == 3
    words = [
        "--table",
        "published",
        "--where",
        "model=DiT-XL/2",
        "--where",
        "kind=paper_scaling12",
        "--json",
    ]
    assert [r["fid50k"] for r in json.loads(ask(*words)[1])] == [19.47]
    assert json.loads(ask("--table", "published.imagenet256", "--limit", "2", "--json")[1])
    assert "published.imagenet256" in ask("--table", "published.imagenet25")[2]


MISTAKES = {
    "SELECT fd_digit FROM evals": ["fd_digit", "did you mean 'fd_digits'?", "DESCRIBE results"],
    "SELECT * FROM eval": ["did you mean 'evals'?", "tables are runs"],
    "SELEC 1": ["Parser Error", "tables are runs"],
    "SELECT": ["tables are runs"],
    "": ["0 SQL statements"],
    "SELECT 1; SELECT 2": ["2 SQL statements"],
    "SELECT 'a' + 1 FROM runs": ["Binder Error"],
}


@pytest.mark.parametrize("sql", MISTAKES)
def test_wrong_sql_is_explained(ask, sql):
    code, out, err = ask(sql)
    assert code == 2
    assert out == ""
    for words in MISTAKES[sql]:
        assert words in err
    assert len(err.strip().splitlines()) == 1
    assert len(err) < 400


def test_the_tables_shown_are_those_to_ask(ask):
    names = [row["name"] for row in json.loads(ask("SHOW TABLES", "--json")[1])]
    assert sorted(names) == sorted(query.VIEWS)


def test_a_name_with_commas_is_found_as_it_stands(ask):
    name = json.loads(ask("--table", "runs", "--columns", "name", "--json")[1])[0]["name"]
    assert "," in name
    found = json.loads(ask("--table", "runs", "--where", f"name={name}", "--json")[1])
    assert {row["name"] for row in found} == {name}
    others = json.loads(ask("--table", "runs", "--where", f"name!={name}", "--json")[1])
    assert others
    assert name not in {row["name"] for row in others}


def test_a_condition_that_no_row_fulfils_says_what_there_is(ask):
    code, out, err = ask("--table", "runs", "--where", "model.size=XXZ", "--json")
    assert code == 0
    assert json.loads(out) == []
    assert "no row with model.size = XXZ, did you mean 'XXS'?; there: " in err
    assert "XS" in err.split("there: ")[1]


OPTIONS = {
    ("--table", "eval"): "did you mean 'evals'?",
    ("--where", "patc=2"): "did you mean 'patch'?",
    ("--where", "patch"): "COLUMN=VALUE",
    ("--where", "patch=x"): "not a number",
    ("--where", "model_qk_norm=2"): "not true or false",
    ("--where", "patch<null"): "no order",
    ("--columns", "nmae"): "did you mean 'name'?",
    ("--sort", "-fwd_gmac"): "did you mean 'fwd_gmacs'?",
    ("--pivot", "patch"): "ROWS,COLUMNS",
    ("--pivot", "patch,seed"): "name it with --columns",
    ("--format", "cvs"): "did you mean 'csv'?",
    ("--out", "x.doc"): "names no format",
    ("--json", "--format", "csv"): "contradict",
    ("SELECT 1", "--table", "runs"): "not both",
    ("SELECT 1", "--limit", "3"): "not both",
}


@pytest.mark.parametrize("words", OPTIONS, ids=" ".join)
def test_wrong_options_are_explained(ask, words):
    code, _, err = ask(*words)
    assert code == 2
    assert OPTIONS[words] in err
    assert len(err.splitlines()) == 1


HOSTILE = [
    "SELECT * FROM read_text('{secret}')",
    "SELECT * FROM read_blob('{secret}')",
    "SELECT * FROM read_csv('{secret}')",
    "SELECT * FROM '{secret}'",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM (SELECT * FROM read_text('{secret}'))",
    "WITH a AS (SELECT * FROM read_json('{secret}')) SELECT * FROM a",
    "EXPLAIN ANALYZE SELECT * FROM read_text('{secret}')",
    "COPY runs TO '{folder}/stolen.csv'",
    "COPY (SELECT 1) TO '{folder}/stolen.parquet'",
    "EXPORT DATABASE '{folder}/stolen'",
    "ATTACH '{folder}/stolen.db'",
    "ATTACH '{folder}/stolen.db' AS a; SELECT 1",
    "CREATE TABLE t AS SELECT 1",
    "DROP VIEW runs",
    "DELETE FROM runs",
    "INSERT INTO runs SELECT * FROM runs",
    "SELECT 1; DROP VIEW runs",
    "SET enable_external_access = true",
    "SET memory_limit = '100GB'",
    "RESET lock_configuration",
    "PRAGMA database_list",
    "INSTALL httpfs",
    "LOAD httpfs",
    "CALL pragma_version()",
    "CHECKPOINT",
    "PREPARE p AS SELECT 1",
    "SELECT * FROM sqlite_scan('{secret}', 'x')",
    "SELECT * FROM query('SELECT * FROM read_text(''{secret}'')')",
    "SELECT * FROM secret_frame",
    "SELECT * FROM parquet_scan('{secret}')",
    "SELECT getenv('HOME')",
]


def test_hostile_sql_touches_nothing(root, tmp_path):
    """Each statement is refused: no file is touched, and the tables answer as before."""
    secret = tmp_path / "secret.csv"
    secret.write_text("password\nhunter2\n")
    secret_frame = pd.DataFrame({"a": ["hunter2"]})  # Python variables are no tables either
    before = sorted((p.name, p.stat().st_mtime_ns) for p in tmp_path.rglob("*"))
    con = query.connect(update(Store(root)))
    count = query.ask(con, "SELECT count(*) FROM runs").to_pylist()
    answered = 0
    for sql in HOSTILE:
        with contextlib.suppress(UserError):
            query.ask(con, sql.format(secret=secret, folder=tmp_path), timeout_s=10)
            answered += 1
    after = sorted((p.name, p.stat().st_mtime_ns) for p in tmp_path.rglob("*"))
    print(
        f"{len(HOSTILE)} hostile statements: answered {answered}, files touched "
        f"{len(set(before) ^ set(after))}"
    )
    assert answered == 0
    assert before == after
    assert len(secret_frame) == 1
    assert query.ask(con, "SELECT count(*) FROM runs").to_pylist() == count


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT sum(hash(a.range + b.range)) FROM range(1000000) a, range(1000000) b",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
        "SELECT a.range, b.range FROM range(1000000) a, range(1000000) b",
    ],
)
def test_endless_sql_is_stopped(root, sql):
    con = query.connect(update(Store(root)))
    started = time.monotonic()
    with pytest.raises(UserError, match=r"longer than|memory|larger than"):
        query.ask(con, sql, timeout_s=1)
    assert time.monotonic() - started < 20
    assert query.ask(con, "SELECT count(*) AS n FROM runs").to_pylist() == [{"n": 48}]


def test_values_are_never_part_of_the_sql(root):
    con = query.connect(update(Store(root)), study="x' OR '1'='1")
    assert query.ask(con, "SELECT count(*) AS n FROM runs").to_pylist() == [{"n": 0}]


ODD = {
    "id": [
        "12e4567",
        "NA",
        "nan",
        "null",
        "0012",
        "1_000",
        "True",
        "",
        None,
        "a,b",
        'q"q',
        "x\r\ny",
        " s ",
    ],
    "name": [
        "=1+1",
        "+a",
        "-b",
        "@c",
        "'quoted",
        "\tt",
        "Ω→π",
        "🙂",
        "é",
        "é",
        "\\x",
        "a|b",
        "#&%$_{}",
    ],
    "number": [
        math.nan,
        math.inf,
        -math.inf,
        1e-300,
        -0.0,
        0.1,
        1e22,
        None,
        5e-324,
        2.0,
        1 / 3,
        -1.5,
        1e16,
    ],
    "count": [0, -1, 2**53 + 1, 2**63 - 1, None, 5, 6, 7, 8, 9, 10, 11, 12],
    "flag": [True, False, None] * 4 + [True],
}


def _equal(one, two):
    if isinstance(one, float) and isinstance(two, float):
        return (math.isnan(one) and math.isnan(two)) or (
            one == two and math.copysign(1, one) == math.copysign(1, two)
        )
    return type(one) is type(two) and one == two


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_every_value_survives(form, tmp_path):
    """Ids like 12e4567, NaN, infinities, 64-bit integers, Unicode: written and read back."""
    table = pa.table(ODD)
    back = {
        "csv": lambda: formats.read_csv(formats.to_csv(table)),
        "json": lambda: formats.read_json(formats.to_json(table)),
        "parquet": lambda: pq.read_table(pa.BufferReader(formats.to_parquet(table))),
    }[form]()
    assert back.column_names == table.column_names
    pairs = [(a, b) for c in ODD for a, b in zip(ODD[c], back.column(c).to_pylist(), strict=True)]
    kept = sum(_equal(a, b) for a, b in pairs)
    print(f"{form}: {kept} of {len(pairs)} values survive")
    assert kept == len(pairs), [p for p in pairs if not _equal(*p)]


@pytest.mark.parametrize("table", ["runs", "evals", "metrics", "attempts"])
@pytest.mark.parametrize("form", ["csv", "json"])
def test_tables_survive(root, table, form):
    con = query.connect(update(Store(root)))
    found = query.ask(con, f"SELECT * FROM {table} ORDER BY ALL LIMIT 40")
    text = formats.to_csv(found) if form == "csv" else formats.to_json(found)
    back = formats.read_csv(text) if form == "csv" else formats.read_json(text)
    assert back.to_pylist() == found.to_pylist()


def test_json_is_valid_for_every_parser():
    text = formats.to_json(pa.table({"a": [math.nan, 1.0], "b": [math.inf, -math.inf]}))

    def refuse(word):
        raise AssertionError(word)

    assert json.loads(text, parse_constant=refuse)[0] == {
        "a": None,
        "b": None,
        "_nonfinite": {"a": "nan", "b": "inf"},
    }


def test_markup_is_escaped():
    table = pa.table({"a|b_c": ["x|y\nz", "50%_&"]})
    assert formats.to_markdown(table).splitlines()[2] == r"| x\|y z |"
    assert r"50\%\_\&" in formats.to_latex(table)


def test_files(ask, tmp_path):
    for name in ("a.csv", "a.json", "a.md", "a.tex", "a.parquet", "a.txt"):
        code, out, _ = ask("--limit", "3", "--out", str(tmp_path / name))
        assert (code, out) == (0, "")
        assert (tmp_path / name).stat().st_size > 100
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 3
    assert formats.read_csv((tmp_path / "a.csv").read_bytes().decode()).num_rows == 3


def test_table_fits_the_terminal():
    table = pa.table({f"column_{i}": ["x" * 30] for i in range(9)})
    narrow = fitted(table, 80)
    assert max(map(len, narrow.splitlines()[:2])) <= 80
    assert "not shown, the terminal is too narrow: column_2" in narrow
    assert "not shown" not in fitted(table, None)
    assert "[red]" in fitted(pa.table({"a": ["[red]"]}), 80)


def test_empty_store_says_how_to_fill_it(tmp_path, capsys):
    with pytest.raises(SystemExit) as leaving:
        app.main(["query", "--results", str(tmp_path / "none"), "--json"])
    out = capsys.readouterr()
    assert leaving.value.code == 0
    assert json.loads(out.out) == []
    assert "ditlab run STUDY" in out.err
    assert not (tmp_path / "none").exists()


def test_update_option_changes_what_is_seen(tmp_path, capsys):
    fill(Store(tmp_path), 2)
    counts = []
    for words in (["--no-update"], [], ["--no-update"], ["--rebuild"]):
        with pytest.raises(SystemExit):
            app.main(
                [
                    "query",
                    "SELECT count(*) AS n FROM runs",
                    "--json",
                    "--results",
                    str(tmp_path),
                    *words,
                ]
            )
        counts.append(json.loads(capsys.readouterr().out)[0]["n"])
    assert counts == [0, 2, 2, 2]


def test_timeout_option(ask):
    sql = "SELECT sum(hash(a.range + b.range)) FROM range(1000000) a, range(1000000) b"
    code, _, err = ask(sql, "--timeout", "0.2")
    assert code == 2
    assert "longer than 0.2 s" in err


def test_watch_asks_again():
    seen = []
    repeat(lambda: seen.append(time.monotonic()), 0.05, times=3)
    assert len(seen) == 3
    assert seen[2] - seen[0] >= 0.1


def test_no_file_descriptor_stays_open(root):
    update(Store(root))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        load.runs(root)
    assert len(os.listdir("/proc/self/fd")) <= before + 2
