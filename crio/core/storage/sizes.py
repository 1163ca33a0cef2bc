"""Sizes of images: sums of what the records say, never a walk over the disk."""

from __future__ import annotations

from collections.abc import Callable

from crio.core.storage.records import ImageRecord, LayerRecord


def image_size(image: ImageRecord, layer_of: Callable[[str], LayerRecord | None]) -> int | None:
    """Return big data plus the uncompressed size of every layer; None when a layer is missing or of unknown size."""
    total = sum(image.big_data_sizes.get(name, 0) for name in image.big_data_names)
    layer_id: str | None = image.layer or None
    seen: set[str] = set()
    while layer_id:
        layer = layer_of(layer_id)
        if layer is None or layer.diff_size is None or layer_id in seen:
            return None
        seen.add(layer_id)
        total += layer.diff_size
        layer_id = layer.parent
    return total
