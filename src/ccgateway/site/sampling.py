"""Large answers with metrics: the samples are cut out, and only what is left is decoded.

Of ten megabytes of metrics all but a few per cent are lists of numbers, which nobody here reads. msgspec finds where they end
by checking every digit; looking for the bracket that ends them takes a tenth of that. So a mark is put in the place of each list,
the rest is decoded as ever, and each series gets its list back, as a view into the site's body.

That is safe as far as it must be: in valid JSON ``"data":[`` can stand in front of a list only where they are the
key, and a list of numbers ends at the first bracket. Nothing that could be more than numbers may be in what was cut out
(``_FOREIGN``), and every series must have the mark that stood in its place. What does not look like that in every point is
decoded as a whole, and told apart there. What is cut out is in UTF-8, and no number in it is boundless; whether each is written
properly is seen to (``check_samples``) where it could spoil what comes from another site.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import TypeVar

import msgspec

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.metrics import Series
from ccgateway.site.exchange import SiteAnswer
from ccgateway.site.replies import NOT_JSON, check_text, decode

__all__ = ["SMALL", "check_samples", "decode_sampled"]

T = TypeVar("T")

#: bodies up to this size, in bytes, are decoded as a whole
SMALL = 1 << 16
#: bytes per list of samples, on average, below which cutting does not pay
SHORT = 2000
#: lists after which that is found out
FIRST = 16

_KEY = b'"data":['
#: what stands for a list while the rest is decoded: nothing that a site could have written itself
_MARK = b"[%d]" % secrets.randbits(60)
#: what a site's list of numbers and nulls does not have: of strings, objects, lists, of NaN, nan, Infinity and inf one character
_FOREIGN = (b'"', b"}", b"[", b"a", b"i")

_DATA = attrgetter("data")


def decode_sampled(
    answer: SiteAnswer, decoder: msgspec.json.Decoder[T], site: str, series_of: Callable[[T], Iterable[Series]]
) -> T:
    """As ``decode``, and with the same result. ``series_of``: all series of what was decoded, in the order of the text."""
    if len(answer.body) > SMALL and 200 <= answer.status < 300:
        is_ascii = answer.body.isascii()
        cut = _cut(answer.body, is_ascii=is_ascii)
        if cut is not None:
            try:
                check_text(answer.body, is_ascii=is_ascii)
                decoded = decoder.decode(cut[0])
            except NOT_JSON:
                pass
            else:
                if _put_back(list(series_of(decoded)), cut[1]):
                    return decoded
    return decode(answer, decoder, site)


def _cut(body: bytes, *, is_ascii: bool) -> tuple[bytes, list[memoryview]] | None:
    """The body with a mark in place of each list of samples, and the lists; ``None`` where that does not pay or may be wrong."""
    if not _pays(body):
        return None
    find = body.find
    starts, ends = list[int](), [0]
    end = 0
    while (key := find(_KEY, end)) >= 0:
        start = key + len(_KEY)
        closing = find(b"]", start)
        if closing < 0:
            return None
        for one in _FOREIGN:
            if find(one, start, closing) >= 0:
                return None
        if not is_ascii and not body[start:closing].isascii():
            return None
        end = closing + 1
        starts.append(start - 1)
        ends.append(end)
    view = memoryview(body)
    samples = [view[start:end] for start, end in zip(starts, ends[1:], strict=True)]
    between = [body[end:start] for end, start in zip(ends, [*starts, len(body)], strict=True)]
    return _MARK.join(between), samples


def _pays(body: bytes) -> bool:
    """Whether the first lists are long enough."""
    end = 0
    for _ in range(FIRST):
        key = body.find(_KEY, end)
        if key < 0:
            return end > 0
        end = body.find(b"]", key) + 1
    return end >= FIRST * SHORT


def _put_back(series: Sequence[Series], samples: Sequence[memoryview]) -> bool:
    """Whether every series had one of the marks, so that each could be given its list.

    As many marks as series, and one in each: then the lists are in the series' order.
    """
    if len(series) != len(samples) or b"".join(map(_DATA, series)) != _MARK * len(series):
        return False
    for one, text in zip(series, map(msgspec.Raw, samples), strict=True):
        one.data = text
    return True


_SAMPLES = msgspec.json.Decoder(msgspec.Raw)


def check_samples(series: Iterable[Series], site: str) -> None:
    """Reads every list of samples to its end: ``BAD_ANSWER`` where one is not JSON. Takes ten times as long as not to."""
    try:
        _SAMPLES.decode(b"[%s]" % b",".join(map(_DATA, series)))
    except NOT_JSON:
        raise SiteError(Code.BAD_ANSWER, site, "The site's samples are not proper JSON.") from None
