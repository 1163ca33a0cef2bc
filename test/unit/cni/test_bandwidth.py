"""Bandwidth limits from annotations."""

from __future__ import annotations

import pytest

from crio.core.cni.bandwidth import EGRESS, INGRESS, bandwidth_of
from crio.core.cni.errors import BadPodNetwork
from crio.core.cni.values import Bandwidth

QUANTITIES = {
    "1000": 1000,
    "10M": 10_000_000,
    "1.5k": 1500,
    "+2k": 2000,
    "1Ki": 1024,
    "1Gi": 2**30,
    "1e6": 1_000_000,
    "15E2": 1500,
    "1000500m": 1001,
    "1P": 10**15,
    ".5M": 500_000,
}


@pytest.mark.parametrize("text", QUANTITIES)
def test_quantities(text: str) -> None:
    assert bandwidth_of({INGRESS: text}) == Bandwidth(ingress_bps=QUANTITIES[text])
    assert bandwidth_of({EGRESS: text}) == Bandwidth(egress_bps=QUANTITIES[text])


def test_no_annotation_is_no_limit() -> None:
    assert bandwidth_of({"other": "1M"}) is None


@pytest.mark.parametrize("text", ["", "fast", "999", "2P", "1E", "-1M", "1ki", "1K", "1M\n", "1e99", "0", "9" * 40])
def test_what_is_no_limit_is_refused_with_its_name(text: str) -> None:
    with pytest.raises(BadPodNetwork) as caught:
        bandwidth_of({INGRESS: text})
    assert str(caught.value).startswith(f"annotation {INGRESS}: expected a quantity of bits per second from 1k to 1P, got ")
