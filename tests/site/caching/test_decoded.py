"""What is decoded is held while it is asked for, up to a weight, and belongs to one payload."""

from __future__ import annotations

from ccgateway.site.caching.decoded import Decoded


def test_a_value_belongs_to_the_very_payload_it_came_from() -> None:
    held: Decoded[str] = Decoded(10)
    payload = b"x" * 100
    held.keep("key", payload, "value", 1)
    assert held.get("key", payload) == "value"
    assert held.get("key", bytes(bytearray(payload))) is None  # an equal one, but another
    assert held.get("key", payload) is None  # that one is gone with it
    assert held.get("other", payload) is None


def test_what_is_used_least_goes_first_and_what_is_too_heavy_never_comes() -> None:
    held: Decoded[int] = Decoded(10)
    payloads = {name: name.encode() * 50 for name in "abcd"}
    for name in "abc":
        held.keep(name, payloads[name], ord(name), 3)
    assert held.get("a", payloads["a"]) == ord("a")
    held.keep("d", payloads["d"], ord("d"), 4)
    assert [held.get(name, payloads[name]) for name in "abcd"] == [ord("a"), None, ord("c"), ord("d")]
    held.keep("b", payloads["b"], ord("b"), 11)
    assert held.get("b", payloads["b"]) is None
    assert held.get("d", payloads["d"]) == ord("d")
    for _ in range(100):
        held.keep("a", payloads["a"], 1, 10)
    assert held._weight == 10
