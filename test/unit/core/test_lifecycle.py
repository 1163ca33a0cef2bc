"""The life cycle tables: every pair of state and event has one answer."""

from __future__ import annotations

import itertools

import pytest

from crio.core.errors import FailedPrecondition
from crio.core.lifecycle import (
    CONTAINER_TABLE,
    SANDBOX_TABLE,
    ContainerEvent,
    ContainerState,
    SandboxEvent,
    SandboxState,
    next_container_state,
    next_sandbox_state,
)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(ContainerState, ContainerEvent)))
def test_a_container_moves_as_the_table_says_or_says_why_not(state: ContainerState, event: ContainerEvent) -> None:
    if (state, event) in CONTAINER_TABLE:
        assert next_container_state("c1", state, event) is CONTAINER_TABLE[state, event]
    else:
        with pytest.raises(FailedPrecondition, match=f"^cannot {event.value} container c1: it is {state.value}$"):
            next_container_state("c1", state, event)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(SandboxState, SandboxEvent)))
def test_a_sandbox_moves_as_the_table_says_or_says_why_not(state: SandboxState, event: SandboxEvent) -> None:
    if (state, event) in SANDBOX_TABLE:
        assert next_sandbox_state("s1", state, event) is SANDBOX_TABLE[state, event]
    else:
        with pytest.raises(FailedPrecondition, match=f"^cannot {event.value} sandbox s1: it is {state.value}$"):
            next_sandbox_state("s1", state, event)


def test_an_ended_container_never_lives_again() -> None:
    reachable = {CONTAINER_TABLE[pair] for pair in CONTAINER_TABLE if pair[0] is ContainerState.EXITED}
    assert reachable == {ContainerState.EXITED}
