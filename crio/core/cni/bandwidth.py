"""A pod's bandwidth limits, which Kubernetes hands over as annotations.

Source: Kubernetes, "Support traffic shaping" (``kubernetes.io/ingress-bandwidth``, ``kubernetes.io/egress-bandwidth``) and its quantities.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal

from crio.core.cni.errors import BadPodNetwork
from crio.core.cni.values import Bandwidth

INGRESS = "kubernetes.io/ingress-bandwidth"
EGRESS = "kubernetes.io/egress-bandwidth"
_LOWEST_BPS, _HIGHEST_BPS = 1000, 10**15
_QUANTITY = re.compile(r"\+?(\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})([kMGTPE]i?|Ki|[mun]|[eE][+-]?\d{1,2}|)", re.ASCII)
_FACTORS = {
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate(("", "k", "M", "G", "T", "P", "E"))},
    **{suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
    **{suffix: Decimal(1000) ** -power for power, suffix in enumerate(("m", "u", "n"), start=1)},
}


def bandwidth_of(annotations: Mapping[str, str]) -> Bandwidth | None:
    """The limits in a pod's annotations, None when it has none. :raises BadPodNetwork: names the annotation and its value"""
    if INGRESS not in annotations and EGRESS not in annotations:
        return None
    return Bandwidth(ingress_bps=_limit(annotations, INGRESS), egress_bps=_limit(annotations, EGRESS))


def _limit(annotations: Mapping[str, str], key: str) -> int:
    if key not in annotations:
        return 0
    text = annotations[key]
    match = _QUANTITY.fullmatch(text)
    value = _number(match.group(1), match.group(2)) if match is not None else None
    if value is None or not _LOWEST_BPS <= value <= _HIGHEST_BPS:
        raise BadPodNetwork(f"annotation {key}: expected a quantity of bits per second from 1k to 1P, got {text!r}")
    return int(value.to_integral_value(ROUND_CEILING))


def _number(digits: str, suffix: str) -> Decimal | None:
    if suffix[:1] in ("e", "E") and suffix[1:2] not in ("", "i"):
        return Decimal(digits) * Decimal(10) ** int(suffix[1:])
    factor = _FACTORS.get(suffix)
    return Decimal(digits) * factor if factor is not None else None
