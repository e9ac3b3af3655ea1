"""Provisional database ids: what stands for a started job whose site has not said, or not even given, its own id.

They lie far above what any site counts to, and below 2^53 also where a surface writes an id and the number of its site as one
integer, which browsers then still read exactly. An id is made of the job's key alone, so every process makes the same one:

* a job number of up to 26 bits, as Slurm gives them, is written into the id, with the last 15 bits of the start second. Both can
  be read out of it again, for a job that started within the last nine hours;
* for larger numbers it is a digest of the key, which jobs can be compared with.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from ccgateway.jobs.model import JobKey

__all__ = ["FIRST_PROVISIONAL", "Clue", "clue_of", "is_provisional", "provisional_id"]

#: the first of them. Times 1000, as surfaces write them, it is just above 2^52
FIRST_PROVISIONAL = (1 << 52) // 1000 + 1
_NUMBER_BITS, _SECOND_BITS = 26, 15
_BITS = _NUMBER_BITS + _SECOND_BITS
#: seconds after which the bits of the start second repeat
_ROUND = 1 << _SECOND_BITS
#: seconds that a scheduler's clock may be ahead
_AHEAD = 600


def is_provisional(db_id: int) -> bool:
    """Whether that database id is none of a site's own."""
    return FIRST_PROVISIONAL <= db_id < FIRST_PROVISIONAL + (2 << _BITS)


def provisional_id(key: JobKey) -> int:
    """The id that stands for the job of that key at its site."""
    if 0 <= key.job_id < 1 << _NUMBER_BITS:
        return FIRST_PROVISIONAL + (key.job_id << _SECOND_BITS) + key.start_time % _ROUND
    told = f"{key.cluster}\n{key.job_id}\n{key.start_time}".encode("utf-8", "surrogatepass")
    digest = int.from_bytes(blake2b(told, digest_size=8).digest()) % (1 << _BITS)
    return FIRST_PROVISIONAL + (1 << _BITS) + digest


@dataclass(frozen=True, slots=True)
class Clue:
    """What an id says of its job: the number, and when it started, provided that was within the last nine hours."""

    job_id: int
    start_time: int


def clue_of(db_id: int, now: float) -> Clue | None:
    """What a provisional id says of its job at epoch second ``now``; ``None`` where it is a digest, or not provisional."""
    if not is_provisional(db_id):
        return None
    number, low = divmod(db_id - FIRST_PROVISIONAL, _ROUND)
    if number >= 1 << _NUMBER_BITS:
        return None
    latest = int(now) + _AHEAD
    return Clue(number, latest - (latest - low) % _ROUND)
