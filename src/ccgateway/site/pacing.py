"""How many requests a site gets at a time: fewer while it is overburdened, one more each time that all of them went well."""

from __future__ import annotations

import math

__all__ = ["Pacing"]

#: places that a site always has; what it keeps of them when it is overburdened; seconds until it can lose more
FEWEST, KEPT, CUT_EVERY = 2, 0.7, 1.0


class Pacing:
    """Additive increase, multiplicative decrease. ``most``: places that the settings give. All moments are on one clock."""

    def __init__(self, most: int) -> None:
        self.places = most
        self._most = most
        self._went_well = 0
        self._cut_at = -math.inf

    def went_well(self) -> bool:
        """The site answered; whether it has one more place."""
        self._went_well += 1
        if self.places == self._most or self._went_well < self.places:
            return False
        self.places, self._went_well = self.places + 1, 0
        return True

    def overburdened(self, begun: float, now: float) -> bool:
        """A request of the moment ``begun`` was too much for the site; whether it has fewer places."""
        self._went_well = 0
        if begun < self._cut_at or now - self._cut_at < CUT_EVERY or self.places <= FEWEST:
            return False
        self.places, self._cut_at = max(FEWEST, math.floor(self.places * KEPT)), now
        return True
