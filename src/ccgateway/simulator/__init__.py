"""A ClusterCockpit stand-in: sites that answer as cc-backend 1.2, 1.3, 1.4 and 1.5 do, and as the how-to page says.

::

    SimulatedSite ── app, token, mint, faults, requests, mutations      site.py (asgi.py below it)
      ├── Keys           tokens and how each release refuses them       tokens.py, gate.py
      ├── Router         paths → handlers                               routes.py, call.py, messages.py
      │     ├── listing.py  reading.py (scopes.py, metrics.py)          REST, reading
      │     ├── writing/                                                REST, writing; decoding.py: bodies as Go reads them
      │     └── graphql.py (sdl.py, executing.py, resolving.py, querying/)  POST /query
      ├── Backend        jobs, clusters, users, nodes, clock            backend.py, clusters.py, nodes.py
      │     ├── JobStore   GeneratedJobs | LoadedJobs + overlay         store.py, generated.py, source.py
      │     └── Changes    all that can happen to jobs and tags         changes.py, tags.py, waiting.py, archive.py
      ├── Truth          what the site really holds                     truth.py
      └── Faults         what goes wrong                                faults.py, misbehaviour.py (wire.py)
    Release              the differences between releases, as values    release.py
    shapes.py            each release's JSON of a job (job.py)
    serve, demo_sites    on real sockets; the demo's five sites         serve.py, demo.py, __main__.py
"""

from ccgateway.simulator.changes import Effect
from ccgateway.simulator.demo import demo_sites
from ccgateway.simulator.faults import Faults, WriteFault
from ccgateway.simulator.generated import GeneratedJobs
from ccgateway.simulator.release import RELEASES, Release
from ccgateway.simulator.serve import Address, SimulatorProcess, serve, serve_in_thread
from ccgateway.simulator.site import Seen, SimulatedSite
from ccgateway.simulator.truth import Truth

__all__ = [
    "RELEASES",
    "Address",
    "Effect",
    "Faults",
    "GeneratedJobs",
    "Release",
    "Seen",
    "SimulatedSite",
    "SimulatorProcess",
    "Truth",
    "WriteFault",
    "demo_sites",
    "serve",
    "serve_in_thread",
]
