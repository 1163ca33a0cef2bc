"""``[crio.checkpoint_restore]``: CRIU. Source: crio-interfaces §2.7."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from crio.core.settings.schema import Flag, setting


class CheckpointLevel(enum.StrEnum):
    """What clients may do with checkpoints of containers."""

    NONE = "none"
    CHECKPOINT_ONLY = "checkpoint_only"
    CHECKPOINT_RESTORE = "checkpoint_restore"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSettings:
    """How far checkpointing goes."""

    container_level_enabled: CheckpointLevel = setting(
        CheckpointLevel.CHECKPOINT_RESTORE,
        "What is allowed with checkpoints of containers; without the criu program it is none.",
        Flag(
            "checkpoint-restore-container-level-enabled",
            "CONTAINER_CHECKPOINT_RESTORE_CONTAINER_LEVEL_ENABLED",
        ),
    )
