"""What holds for every test: the files that it writes are its own, as those of a gateway that is to use them have to be."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from support.profiles import use_profile

use_profile()


@pytest.fixture(autouse=True, scope="session")
def files_for_nobody_else() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)
