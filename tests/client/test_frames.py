"""Jobs as tables: what each library makes of them, and what is said where it is not there."""

from __future__ import annotations

import sys

import pytest

from ccgateway.client import Gateway


def test_all_three_libraries_hold_the_same_jobs_with_types(gateway: Gateway) -> None:
    jobs = list(gateway.jobs(user="alice", state=["completed", "failed"]))
    listed = gateway.jobs(user="alice", state=["completed", "failed"])
    pandas, arrow, polars = listed.to_pandas(), listed.to_arrow(), listed.to_polars()
    assert list(pandas.columns) == arrow.column_names == polars.columns
    for name in ("id", "jobId", "startTime", "energy", "jobState"):
        assert pandas[name].tolist() == arrow[name].to_pylist() == polars[name].to_list()
    assert pandas["id"].tolist() == [job.id for job in jobs]
    assert str(pandas["startTime"].dtype) == "datetime64[s, UTC]" and str(pandas["numNodes"].dtype) == "int64"
    assert str(arrow.schema.field("startTime").type) == "timestamp[s, tz=UTC]"
    assert pandas["duration"].sum() == sum(job.duration for job in jobs)


def test_a_table_without_jobs_has_the_same_columns_and_types(gateway: Gateway) -> None:
    none, some = gateway.jobs(user="nobody"), gateway.jobs(limit=2)
    assert none.to_arrow().schema == some.to_arrow().schema and none.to_polars().schema == some.to_polars().schema
    empty = none.to_pandas()
    assert len(empty) == 0 and (empty.dtypes == some.to_pandas().dtypes).all()
    assert empty[empty["user"].str.startswith("a")].empty


def test_what_was_asked_for_besides_is_a_column_without_jobs_too(gateway: Gateway) -> None:
    none, some = (gateway.jobs(include=["resources", "meta_data"], **one) for one in ({"user": "nobody"}, {"limit": 2}))
    columns = list(some.to_pandas().columns)
    assert columns == list(none.to_pandas().columns) == none.to_arrow().column_names == none.to_polars().columns
    assert {"hosts", "jobName"} <= set(columns)
    assert none.to_arrow().schema == some.to_arrow().schema and (none.to_pandas().dtypes == some.to_pandas().dtypes).all()


def test_a_footprint_is_columns(gateway: Gateway) -> None:
    frame = gateway.jobs(include=["footprint", "resources", "meta_data"], site="aurora", limit=5).to_pandas()
    assert {"cpu_load_avg", "hosts", "jobName"} <= set(frame.columns)


@pytest.mark.parametrize(
    ("library", "method", "extra"),
    [("pandas", "to_pandas", "pandas"), ("pyarrow", "to_arrow", "arrow"), ("polars", "to_polars", "polars")],
)
def test_a_library_that_is_missing_is_named_with_what_to_install(
    library: str, method: str, extra: str, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, library)

    class Nowhere:
        def find_spec(self, name: str, *_: object) -> None:
            if name == library:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [Nowhere(), *sys.meta_path])
    with pytest.raises(ModuleNotFoundError, match=rf"pip install 'ccgateway\[{extra}\]'"):
        getattr(gateway.jobs(limit=1), method)()
