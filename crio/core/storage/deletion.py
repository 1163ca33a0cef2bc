"""What goes when an image goes: the plan, made from the tables, before anything is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crio.core.errors import FailedPrecondition
from crio.core.storage.records import ImageRecord
from crio.core.storage.tables import ContainerTable, ImageTable, LayerTable


class InUse(FailedPrecondition):
    """Something else needs the object; the sentence names it."""


def refuse_image_in_use(image: ImageRecord, containers: ContainerTable) -> None:
    """Raise InUse, naming the container, when a container refers to ``image``."""
    user = containers.user_of_image(image.id)
    if user is not None:
        name = f" ({user.names[0]})" if user.names else ""
        raise InUse(f"image {image.id} is used by container {user.id}{name}: remove the container first")


def refuse_layer_in_use(layer_id: str, layers: LayerTable, images: ImageTable, containers: ContainerTable) -> None:
    """Raise InUse, naming the user, when a layer, an image or a container needs the layer."""
    above = layers.children.get(layer_id)
    if above:
        raise InUse(f"layer {layer_id} is below layer {above[0]}")
    for image in images.records:
        if layer_id == image.layer or layer_id in image.mapped_layers:
            raise InUse(f"layer {layer_id} is the top layer of image {image.id}")
    user = containers.user_of_layer(layer_id)
    if user is not None:
        raise InUse(f"layer {layer_id} is the layer of container {user.id}")


def layers_of_image_only(image: ImageRecord, layers: LayerTable, images: ImageTable, containers: ContainerTable) -> tuple[str, ...]:
    """Return the layers to remove with ``image``: mapped copies first, then from the top down to the first one that is needed.

    A layer is needed when another image has it on top (or as a mapped copy), a container has it, or another layer is on it.
    ``layers`` are those of the own store: the walk ends where a chain goes on in a read-only one.
    """
    needed = _layers_of_other_images(image, images)
    gone: list[str] = []

    def removable(layer_id: str) -> bool:
        above = [child for child in layers.children.get(layer_id, ()) if child not in gone]
        return (
            layer_id in layers.by_id
            and layer_id not in gone
            and layer_id not in needed
            and not above
            and containers.user_of_layer(layer_id) is None
        )

    gone += [mapped for mapped in image.mapped_layers if removable(mapped)]
    layer_id: str | None = image.layer
    while layer_id and removable(layer_id):
        gone.append(layer_id)
        layer_id = layers.by_id[layer_id].parent
    return tuple(gone)


def _layers_of_other_images(image: ImageRecord, images: ImageTable) -> frozenset[str]:
    return frozenset(layer for other in images.records if other.id != image.id for layer in (other.layer, *other.mapped_layers) if layer)


@dataclass(frozen=True, slots=True)
class LeftPlan:
    """Which layers go, from the top down, and which would but for a layer on them."""

    gone: tuple[str, ...]
    waiting: frozenset[str]


def needed_layers(layers: LayerTable, images: ImageTable, containers: ContainerTable) -> frozenset[str]:
    """Return every layer of the own store that an image or a container has, at the top or below."""
    tops = [layer for image in images.records for layer in (image.layer, *image.mapped_layers)]
    tops += [container.layer for container in containers.records]
    needed: set[str] = set()
    for top in tops:
        record = layers.by_id.get(top)
        while record is not None and record.id not in needed:
            needed.add(record.id)
            record = layers.by_id.get(record.parent or "")
    return frozenset(needed)


def plan_left(wanted: Mapping[str, int], layers: LayerTable, images: ImageTable, containers: ContainerTable) -> LeftPlan:
    """Return what to remove of layers that were left behind.

    :param wanted: layers by id, each with the time in nanoseconds at which its record says it was created: a record that says another
        time is somebody else's layer under the same id
    """
    needed = needed_layers(layers, images, containers)
    open_ids = {
        one for one, at_ns in wanted.items() if one not in needed and (found := layers.by_id.get(one)) and found.created_at_ns == at_ns
    }
    gone: list[str] = []
    while free := [one for one in open_ids if all(child in gone for child in layers.children.get(one, ()))]:
        gone += sorted(free)
        open_ids -= {*free}
    return LeftPlan(tuple(gone), frozenset(open_ids))
