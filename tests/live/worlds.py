"""A farm as one test sees it."""

from __future__ import annotations

from dataclasses import dataclass

from live.faces import Face
from live.farm import Farm
from live.truth import Job

__all__ = ["World"]


@dataclass(frozen=True)
class World:
    """One farm through one face of the gateway, and what the farm lists itself."""

    farm: Farm
    jobs: list[Job]
    face: Face
