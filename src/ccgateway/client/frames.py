"""Jobs as tables of the libraries that people compute with. Columns have the gateway's names, as in its exports."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from ccgateway.client.values import Job

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

__all__ = ["COLUMNS", "row_of", "to_arrow", "to_pandas", "to_polars"]

#: columns of every table, and the attribute of a job in each
COLUMNS = {
    "site": "site", "id": "id", "jobId": "job_id", "user": "user", "project": "project", "cluster": "cluster",
    "subCluster": "sub_cluster", "partition": "partition", "jobState": "state", "startTime": "start_time", "duration": "duration",
    "walltime": "walltime", "numNodes": "num_nodes", "numHwthreads": "num_hw_threads", "numAcc": "num_acc", "smt": "smt",
    "shared": "shared", "arrayJobId": "array_job_id", "monitoringStatus": "monitoring_status", "energy": "energy",
}  # fmt: skip
#: what may be asked for besides, and its column; those of a footprint are named by the jobs
_INCLUDED = {"resources": "hosts", "meta_data": "jobName"}
_LISTS = frozenset({"tags", "hosts"})
_FLOATS, _TIMES = frozenset({"energy"}), frozenset({"startTime"})
_TEXTS = frozenset({"site", "id", "user", "project", "cluster", "subCluster", "partition", "jobState", "shared"})


def row_of(job: Job) -> dict[str, Any]:
    """One row: the columns, ``tags``, and what was asked for: ``hosts``, ``jobName``, and the footprint as ``cpu_load_avg``."""
    row: dict[str, Any] = {name: getattr(job, attribute) for name, attribute in COLUMNS.items()}
    row["tags"] = [str(tag) for tag in job.tags]
    if job.resources is not None:
        row["hosts"] = list(job.hosts)
    if job.meta_data is not None:
        row["jobName"] = job.name
    for one in job.footprint or ():
        if one is not None:
            row[f"{one.name}_{one.stat}"] = one.value
    return row


def _columns(jobs: Sequence[Job], include: Collection[str]) -> dict[str, list[Any]]:
    rows = [row_of(job) for job in jobs]
    asked = [column for name, column in _INCLUDED.items() if name in include]
    names = dict.fromkeys([*COLUMNS, "tags", *asked, *(name for row in rows for name in row)])
    return {name: [row.get(name) for row in rows] for name in names}


def _library(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ModuleNotFoundError(f"This needs {name}: pip install 'ccgateway[{extra}]'", name=name) from None


def to_arrow(jobs: Sequence[Job], include: Collection[str] = ()) -> pyarrow.Table:
    """A table of Arrow. ``include``: what else was asked for, the columns of which are there without a job, too. Raises
    ``ModuleNotFoundError``, which says what to install."""
    arrow = _library("pyarrow", "arrow")

    def kind(name: str) -> Any:
        if name in _TEXTS or name == "jobName":
            return arrow.string()
        if name in _LISTS:
            return arrow.list_(arrow.string())
        if name in _TIMES:
            return arrow.timestamp("s", tz="UTC")
        return arrow.int64() if name in COLUMNS and name not in _FLOATS else arrow.float64()

    columns = _columns(jobs, include)
    table: pyarrow.Table = arrow.table({name: arrow.array(values, type=kind(name)) for name, values in columns.items()})
    return table


def to_pandas(jobs: Sequence[Job], include: Collection[str] = ()) -> pandas.DataFrame:
    """A DataFrame of pandas. Likewise."""
    library = _library("pandas", "pandas")
    frame: pandas.DataFrame = library.DataFrame(_columns(jobs, include))
    types = dict.fromkeys((name for name in COLUMNS if name not in _TEXTS | _TIMES | _FLOATS), "int64")
    if not jobs:  # pandas goes by the values
        types |= {name: "object" if name in _LISTS else "str" for name in frame.columns if name not in COLUMNS or name in _TEXTS}
    return frame.astype({**types, "energy": "float64", "startTime": "datetime64[s, UTC]"})


def to_polars(jobs: Sequence[Job], include: Collection[str] = ()) -> polars.DataFrame:
    """A DataFrame of Polars. Likewise."""
    library = _library("polars", "polars")

    def kind(name: str) -> Any:
        if name in _TEXTS or name == "jobName":
            return library.String
        if name in _LISTS:
            return library.List(library.String)
        if name in _TIMES:
            return library.Datetime("ms", "UTC")
        return library.Int64 if name in COLUMNS and name not in _FLOATS else library.Float64

    columns = _columns(jobs, include)
    frame: polars.DataFrame = library.DataFrame(columns, schema={name: kind(name) for name in columns})
    return frame
