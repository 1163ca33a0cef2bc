"""Which names in the exits directory are told to anybody: whole ids, once they are in place."""

from __future__ import annotations

import asyncio
import os
import pathlib

from crio.host.exitwatch import ExitWatch
from test.support.waiting import eventually_async

ID = "a" * 64
OTHER = "b" * 64


async def test_only_a_whole_id_that_was_renamed_into_place_is_told(tmp_path: pathlib.Path) -> None:
    (tmp_path / OTHER).write_text("0")
    (tmp_path / f"{OTHER}.x1y2z3").write_text("0")
    told: list[str] = []

    async def receive(name: str) -> None:
        told.append(name)

    async def is_told() -> bool:
        return ID in told

    async with asyncio.TaskGroup() as group:
        watch = ExitWatch(str(tmp_path), group)
        watch.begin(receive, receive)
        staged = tmp_path / f"{ID}.qtshws"
        staged.write_text("137")
        os.rename(staged, tmp_path / ID)
        await eventually_async(is_told, 5, "the exit is told")
        watch.close()
    assert told == [OTHER, ID]
