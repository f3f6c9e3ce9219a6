from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.provenance import Provenance
from simulator.study.execute import execute
from simulator.study.query import query
from simulator.study.store import Manifest, open_store


def stored(folder: Path) -> Path:
    def evaluate(axes):
        error = np.where(axes["x"] == 3, "x is 3", "").astype(object)
        return {"cost_s": np.where(error == "", axes["x"] ** 2, np.nan), "error": error}

    sweep = SimpleNamespace(
        points=10, units={"cost_s": "s"}, evaluate=evaluate,
        columns=lambda start, stop: {"x": np.arange(start, stop) * 1.0, "model": np.full(stop - start, "a", object)},
    )  # fmt: skip
    with open_store(folder, Manifest.of(Provenance({}), 10, chunk=4)) as store:
        execute(sweep, store, workers=1)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return stored(tmp_path / "it's [a] *")


def test_sql_over_the_points(folder: Path) -> None:
    found = query(folder, "select model, count(*) as points, max(cost_s) as worst_s from points group by model")
    assert found.to_dict("records") == [{"model": "a", "points": 10, "worst_s": 81.0}]
    assert query(folder, "select point from points where error <> ''")["point"].tolist() == [3]
    assert query(folder, "with p as (from points) select x from p order by point limit 2")["x"].tolist() == [0, 1]
    assert query(folder, "describe points")["column_name"].tolist() == ["point", "x", "model", "cost_s", "error"]


@pytest.mark.parametrize("sql", ["select cost from points", "select p.cost from points p"])
def test_an_unknown_column(folder: Path, sql: str) -> None:
    with pytest.raises(ConfigError, match=r"'cost', expected .*point, x, model, cost_s, error; did you mean 'cost_s'"):
        query(folder, sql)


@pytest.mark.parametrize("sql", ["selec", "select x + model from points", "select * from other"])
def test_sql_that_is_wrong(folder: Path, sql: str) -> None:
    with pytest.raises(ConfigError, match=r"sql: \w+ Error: .* 'points' of point, x, model") as error:
        query(folder, sql)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "sql",
    [
        "copy points to '{here}'", "create table t as from points", "select 1; select 2", "", "set threads = 1",
        "install httpfs", "attach '{here}'", "explain analyze copy points to '{here}'",
    ],
)  # fmt: skip
def test_a_query_changes_nothing(folder: Path, sql: str) -> None:
    here = folder / "new"
    with pytest.raises(ConfigError, match="expected one SELECT"):
        query(folder, sql.format(here=str(here).replace("'", "''")))
    assert not here.exists()


@pytest.mark.parametrize("sql", ["from '{secret}'", "from read_csv('{secret}')", "from read_text('{secret}')"])
def test_a_query_reads_no_other_file(folder: Path, sql: str) -> None:
    secret = folder.parent / "secret.csv"
    secret.write_text("word\nsesame\n")
    with pytest.raises(ConfigError, match="sql"):
        query(folder, sql.format(secret=secret))


def test_a_variable_of_ours_is_no_table(folder: Path) -> None:
    with pytest.raises(ConfigError, match="columns does not exist"):
        query(folder, "from columns")


def test_a_folder_with_nothing_to_query(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no results of a sweep"):
        query(folder.parent, "from points")
    for part in folder.glob("part-*"):
        part.write_bytes(part.read_bytes()[:-3])
    with pytest.raises(ConfigError, match="damaged"):
        query(folder, "from points")
    for part in folder.glob("part-*"):
        part.unlink()
    with pytest.raises(ConfigError, match="no point"):
        query(folder, "from points")
