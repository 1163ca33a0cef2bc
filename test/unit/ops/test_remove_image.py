"""Removing images: each request takes its own name away, however many come at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

from crio.core.image.reference import parse_reference
from crio.ops.images import remove_image
from test.unit.ops.fakes import context

IMAGE = "1" * 64


@dataclass(frozen=True)
class Record:
    """An image record as far as removal looks at it."""

    id: str
    names: tuple[str, ...]
    digests: tuple[str, ...] = ()
    names_history: tuple[str, ...] = ()


class Store:
    """One image with names."""

    def __init__(self, *names: str) -> None:
        self.records = [Record(IMAGE, names)]

    def images(self) -> list[Record]:
        """What is there."""
        return list(self.records)

    def remove_name(self, image_id: str, name: str) -> None:
        """Take one name away."""
        (record,) = self.records
        self.records = [replace(record, names=tuple(item for item in record.names if item != name))]

    def delete_image(self, image_id: str) -> None:
        """Take the image away."""
        self.records = []


async def test_two_names_removed_at_once_take_the_image_with_them(tmp_path: Path) -> None:
    store = Store("host.test/r:a", "host.test/r:b")
    names = SimpleNamespace(candidates=lambda text: (parse_reference(text),))
    async with context(str(tmp_path), store=store, names=names) as ctx, asyncio.TaskGroup() as group:
        for name in ("host.test/r:a", "host.test/r:b"):
            group.create_task(remove_image(ctx, name))
    assert store.records == []


async def test_one_of_two_names_leaves_the_image_with_the_other(tmp_path: Path) -> None:
    store = Store("host.test/r:a", "host.test/r:b")
    names = SimpleNamespace(candidates=lambda text: (parse_reference(text),))
    async with context(str(tmp_path), store=store, names=names) as ctx:
        await remove_image(ctx, "host.test/r:a")
    assert store.records[0].names == ("host.test/r:b",)


async def test_a_name_without_a_tag_means_latest(tmp_path: Path) -> None:
    store = Store("host.test/r:latest")
    names = SimpleNamespace(candidates=lambda text: (parse_reference(text),))
    async with context(str(tmp_path), store=store, names=names) as ctx:
        await remove_image(ctx, "host.test/r")
    assert store.records == []
