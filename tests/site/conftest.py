from __future__ import annotations

from support.profiles import use_profile

use_profile()
