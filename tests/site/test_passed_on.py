"""What is passed on unread is JSON in UTF-8 whose numbers have bounds; anything else is the site's own bad answer."""

from __future__ import annotations

import math
import time

import msgspec
import pytest

from ccgateway.errors import Code, SiteError
from ccgateway.site.exchange import SiteAnswer
from ccgateway.site.releases import DIALECTS
from ccgateway.site.replies import check_text

ATTRIBUTES = frozenset({"meta_data_json", "resources_json", "footprint_json", "statistics_json", "energy_json"})
PLACES = ["metaData", "resources", "footprint", "statistics", "energy", "unheardOf"]
#: values that are no JSON, or none that everybody can read
SPOILED = [
    b'"\xff"', b'{"\xff":1}', b'"\xed\xa0\x80"', b'"\xc3"', b'["\xf4\x90\x80\x80"]',
    b"1" * 5000, b"[1," + b"9" * 5000 + b"]", b"-0." + b"3" * 5000, b"1e" + b"1" * 5000,
    b"NaN", b"-Infinity", b"01", b"1.", b"+1", b".5", b'"\x1b[2J"', b'"\n"', b"[1,]", b"[1 2]", b"tru", b"[" * 5000 + b"]" * 5000,
    b'"\\ud800"', b'"\\x41"', b"\xef\xbb\xbf1",
]  # fmt: skip


def rows(body: bytes, release: str) -> object:
    return DIALECTS[release].list_rows(SiteAnswer(200, "application/json", body), "here", ATTRIBUTES)


def body_with(place: str, value: bytes) -> bytes:
    job = b'{"id":1,"jobId":1,"cluster":"x","startTime":5,"jobState":"running","state":"running","exclusive":1,"%s":%s}'
    return b'{"jobs":[' + job % (place.encode(), value) + b"]}"


def code_of(body: bytes, release: str) -> Code | None:
    """What such an answer is called, or None where it passes."""
    try:
        rows(body, release)
    except SiteError as failed:
        return failed.code
    return None


@pytest.mark.parametrize("value", SPOILED, ids=lambda value: repr(value[:12]))
def test_what_is_not_json_for_everybody_is_a_bad_answer_wherever_it_stands(value: bytes) -> None:
    codes = {(place, release): code_of(body_with(place, value), release) for place in PLACES for release in DIALECTS}
    assert {at: code for at, code in codes.items() if code not in (Code.BAD_ANSWER, Code.WRONG_RELEASE)} == {}


@pytest.mark.parametrize(
    "value",
    [b'"' + b"1" * 9000 + b'"', b'"' + b"x" * 99_000 + b'"', b"1e21", b"-0", b"1" * 320, '"größe"'.encode(), b"[" * 9 + b"]" * 9]
)  # fmt: skip
def test_what_is_merely_unusual_passes(value: bytes) -> None:
    assert rows(body_with("metaData", value), "1.5")


@pytest.mark.parametrize("at", [0, 1, 500, 2047, 2048, 5000])
@pytest.mark.parametrize("digits", [2 * 2048, 5000, 50_000])
def test_a_boundless_number_is_found_wherever_it_begins(at: int, digits: int) -> None:
    with pytest.raises(msgspec.DecodeError):
        check_text(b'["' + b"x" * at + b'",' + b"1," * at + b"7" * digits + b"]")


def test_texts_of_digits_take_no_longer_the_longer_they_are() -> None:
    def spent(*texts: bytes) -> float:
        """The least of several, in seconds of this process: what else the machine does only adds to it."""
        text, least = b'["' + b'","'.join(texts) + b'"]', math.inf
        for _ in range(5):
            began = time.process_time()
            check_text(text)
            least = min(least, time.process_time() - began)
        return least

    digits = b"1" * 1_000_000
    assert spent(16 * digits) < 120 * spent(digits)  # 256 times as much if each were looked at again for each
    assert spent(*[digits[:3000]] * 8000) < 120 * spent(*[digits[:3000]] * 500)
