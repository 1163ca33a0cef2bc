"""What has to go so that a damaged store is sound again: containers first, then images, then layers from the top down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crio.core.storage.findings import Damage, Finding, Kind
from crio.core.storage.tables import ContainerTable, ImageTable, LayerTable


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """Ids in the order in which they can be removed, and whether data without records is to be collected."""

    containers: tuple[str, ...]
    images: tuple[str, ...]
    layers: tuple[str, ...]
    orphans: bool


def plan_repair(findings: Sequence[Finding], layers: LayerTable, images: ImageTable, containers: ContainerTable) -> RepairPlan:
    """Return what to remove for ``findings``: the fatally damaged things, what lies on them, and layers that nobody needs."""
    damaged = {kind: {one.id for one in findings if one.kind is kind and one.fatal} for kind in Kind}
    unused = {one.id for one in findings if one.damage is Damage.LAYER_UNUSED}
    bad_layers = _with_descendants(damaged[Kind.LAYER], layers)
    bad_images = [
        image.id
        for image in images.records
        if image.id in damaged[Kind.IMAGE] or image.layer in bad_layers or not bad_layers.isdisjoint(image.mapped_layers)
    ]
    bad_containers = [
        one.id for one in containers.records if one.id in damaged[Kind.CONTAINER] or one.layer in bad_layers or one.image in bad_images
    ]
    goers = (bad_layers | unused) & layers.by_id.keys()
    order = sorted(goers, key=lambda layer: len(layers.chain(layer) or ()), reverse=True)
    orphans = any(one.damage is Damage.ORPHAN for one in findings)
    return RepairPlan(tuple(bad_containers), tuple(bad_images), tuple(order), orphans)


def _with_descendants(ids: set[str], layers: LayerTable) -> frozenset[str]:
    found: set[str] = set()
    todo = list(ids)
    while todo:
        layer = todo.pop()
        if layer not in found:
            found.add(layer)
            todo += layers.children.get(layer, ())
    return frozenset(found)
