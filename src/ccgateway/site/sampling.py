"""Large answers with metrics: the samples are cut out, and only what is left is decoded.

Of ten megabytes of metrics all but a few per cent are lists of numbers, which nobody here reads. msgspec finds where they end
by checking every digit; looking for the bracket that ends them takes a tenth of that. So a mark with a number is put in the place
of each list, the rest is decoded as ever, and each series gets its list back, as a view into the site's body.

That is safe as far as it must be: in valid JSON ``"data":[`` can stand in front of a list only where they are the
key, and a list of numbers ends at the first bracket. Nothing that could be more than numbers may be in what was cut out
(``_FOREIGN``). What does not look like that in every point is decoded as a whole, and told apart there. Left to the client is a
site that garbles its own numbers.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from ccgateway.jobs.metrics import Series
from ccgateway.site.exchange import SiteAnswer
from ccgateway.site.replies import NOT_JSON, decode

__all__ = ["SMALL", "decode_sampled"]

T = TypeVar("T")

#: bodies up to this size, in bytes, are decoded as a whole
SMALL = 1 << 16
#: bytes per list of samples, on average, below which cutting does not pay
SHORT = 1 << 12
#: lists after which that is found out
FIRST = 16

_KEY = b'"data":['
#: what stands for the n-th list while the rest is decoded: nothing that a site could have written itself
_MARK = b"%d,%%d" % secrets.randbits(60)
#: what a list of numbers and nulls does not have: strings, objects, lists, and the words for what is not a number
_FOREIGN = (b'"', b"{", b"}", b"[", b"N", b"I", b"a", b"i")


def decode_sampled(
    answer: SiteAnswer, decoder: msgspec.json.Decoder[T], site: str, series_of: Callable[[T], Iterable[Series]]
) -> T:
    """As ``decode``, and with the same result. ``series_of``: all series of what was decoded, in the order of the text."""
    if len(answer.body) > SMALL and 200 <= answer.status < 300:
        cut = _cut(answer.body)
        if cut is not None:
            try:
                decoded = decoder.decode(cut[0])
            except NOT_JSON:
                pass
            else:
                if _put_back(series_of(decoded), cut[1]):
                    return decoded
    return decode(answer, decoder, site)


def _cut(body: bytes) -> tuple[bytes, list[memoryview]] | None:
    """The body with a number in place of each list of samples, and the lists; ``None`` where that does not pay or may be
    wrong."""
    view, find = memoryview(body), body.find
    parts: list[bytes] = []
    samples: list[memoryview] = []
    end = 0
    while (key := find(_KEY, end)) >= 0:
        start = key + len(_KEY)
        closing = find(b"]", start)
        if closing < 0 or (len(samples) == FIRST and end < FIRST * SHORT):
            return None
        for one in _FOREIGN:
            if find(one, start, closing) >= 0:
                return None
        parts += (body[end:start], _MARK % len(samples))
        samples.append(view[start - 1 : closing + 1])
        end = closing
    return b"".join((*parts, body[end:])), samples


def _put_back(series: Iterable[Series], samples: list[memoryview]) -> bool:
    """Whether every series had one of the lists, all in order."""
    place = 0
    for one in series:
        if place == len(samples) or bytes(memoryview(one.data)) != b"[" + _MARK % place + b"]":
            return False
        one.data = msgspec.Raw(samples[place])
        place += 1
    return place == len(samples)
