"""A client that has nothing but the published ``.proto`` files does the life of a job, in a process of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from ccgateway.simulator import SimulatedSite
from support.faces import faces
from support.writes import job
from support.written import NOW

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys
import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from ccgateway.v1 import job_pb2, jobs_service_pb2, jobs_service_pb2_grpc, writes_service_pb2, writes_service_pb2_grpc
from ccgateway.v1 import directory_service_pb2, directory_service_pb2_grpc

address, now, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
assert job_pb2.__file__.startswith(folder), job_pb2.__file__
assert not any(name.startswith("ccgateway.") and not name.startswith("ccgateway.v1") for name in sys.modules)
at = lambda seconds: Timestamp(seconds=seconds)
pb = writes_service_pb2
with grpc.insecure_channel(address) as channel:
    jobs = jobs_service_pb2_grpc.JobsServiceStub(channel)
    writes = writes_service_pb2_grpc.WritesServiceStub(channel)
    (site,) = directory_service_pb2_grpc.DirectoryServiceStub(channel).ListSites(directory_service_pb2.ListSitesRequest()).sites
    new = pb.NewJob(job_id=4711, user="alice", cluster="aurora", start_time=at(now - 600), project="p_a", num_nodes=1,
                    resources=[job_pb2.Resource(hostname="an001")], meta_data={"jobName": "run"})
    (started,) = writes.StartJobs(pb.StartJobsRequest(jobs=[new], idempotency_key="start 4711")).results
    assert started.outcome in (pb.WRITE_OUTCOME_DONE, pb.WRITE_OUTCOME_PENDING), started
    target = pb.JobTarget(site="aurora", cluster="aurora", job_id=4711, start_time=at(now - 600))
    running = jobs.GetJobByKey(jobs_service_pb2.GetJobByKeyRequest(cluster="aurora", job_id=4711)).job
    assert running.state == job_pb2.JOB_STATE_RUNNING and running.meta_data["jobName"] == "run", running
    def did(results):
        (one,) = results
        assert one.outcome == pb.WRITE_OUTCOME_DONE, one
    did(writes.TagJobs(pb.TagJobsRequest(jobs=[target], tags=[job_pb2.Tag(type="review", name="x")])).results)
    did(writes.EditJobs(pb.EditJobsRequest(jobs=[pb.JobEdit(job=target, meta_data={"note": "y"})])).results)
    ended = pb.EndedJob(job=target, stop_time=at(now - 60), state=job_pb2.JOB_STATE_COMPLETED)
    did(writes.StopJobs(pb.StopJobsRequest(jobs=[ended])).results)
    batches = list(jobs.ListJobs(jobs_service_pb2.ListJobsRequest()))
    assert batches[-1].complete
    (found,) = [one for batch in batches for one in batch.jobs if one.job_id == 4711]
    whole = jobs.GetJob(jobs_service_pb2.GetJobRequest(id=found.id)).job
    assert whole.state == job_pb2.JOB_STATE_COMPLETED and whole.duration_seconds == 540, whole
    assert whole.meta_data["note"] == "y" and [tag.name for tag in whole.tags] == ["x"], whole
    metrics = jobs.GetJobMetrics(jobs_service_pb2.GetJobMetricsRequest(id="aurora:1")).metrics
    assert metrics and metrics[0].series[0].samples
    did(writes.UntagJobs(pb.UntagJobsRequest(jobs=[target], tags=[job_pb2.Tag(type="review", name="x")])).results)
    did(writes.DeleteJobs(pb.DeleteJobsRequest(jobs=[target])).results)
    try:
        jobs.GetJob(jobs_service_pb2.GetJobRequest(id=found.id))
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.NOT_FOUND
    else:
        raise AssertionError("it is still there")
print("done")
"""


async def test_the_life_of_a_job_by_a_stub_of_the_published_files(tmp_path: Path) -> None:
    sources = sorted((ROOT / "schema/ccgateway/v1").glob("*.proto"))
    out = [f"--python_out={tmp_path}", f"--grpc_python_out={tmp_path}"]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'schema'}", *out, *map(str, sources)]
    for folder in ("ccgateway", "ccgateway/v1"):  # a package of its own, before the one that is installed here
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").touch()
    subprocess.run(command, check=True)  # noqa: ASYNC221 - nothing else runs yet
    site = SimulatedSite("aurora", "1.4", [job("aurora", 1)], clock=lambda: float(NOW))
    async with faces(site) as both:
        program = tmp_path / "client.py"
        program.write_text(PROGRAM)
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(program), both.address, str(NOW), str(tmp_path),
            cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        told, wrong = await process.communicate()
    assert (told, process.returncode) == (b"done\n", 0), wrong.decode()
