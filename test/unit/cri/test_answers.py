"""Answers: lists put together from kept pieces equal the ordinary encoding; states and signals under the CRI's names."""

from __future__ import annotations

import dataclasses

import pytest

from crio.core.lifecycle import ContainerState, SandboxState
from crio.core.records import Container
from crio.cri import answers
from crio.cri import api_pb2 as pb
from test.unit.ops.samples import container, sandbox


def encoded(calls: list[str]) -> answers.EncodedList[Container]:
    """A list of containers that notes what it encodes."""

    def encode(record: Container) -> bytes:
        calls.append(record.id)
        return answers.container_item(record).SerializeToString()

    return answers.EncodedList(1, encode)


def ordinary(records: list[Container]) -> pb.ListContainersResponse:
    """The answer as protobuf makes it."""
    return pb.ListContainersResponse(containers=[answers.container_item(record) for record in records])


SIZES = {"nothing": 0, "one": 1, "many": 300}


@pytest.mark.parametrize("case", SIZES)
def test_the_joined_list_is_the_ordinary_encoding_of(case: str) -> None:
    records = [container(number) for number in range(SIZES[case])]
    assert pb.ListContainersResponse.FromString(encoded([]).answer(records, len(records))) == ordinary(records)


def test_items_beyond_a_byte_and_two_bytes_of_length() -> None:
    records = [dataclasses.replace(container(size), image_name="n" * size) for size in (1, 127, 128, 16_383, 16_384, 70_000)]
    assert pb.ListContainersResponse.FromString(encoded([]).answer(records, len(records))) == ordinary(records)


def test_a_record_is_encoded_once_until_it_is_replaced() -> None:
    calls: list[str] = []
    kept = encoded(calls)
    first, second = container(1), container(2)
    for _ in range(3):
        kept.answer([first, second], 2)
    assert calls == [first.id, second.id]
    changed = dataclasses.replace(second, state=ContainerState.EXITED)
    body = kept.answer([first, changed], 2)
    assert calls == [first.id, second.id, second.id]
    assert pb.ListContainersResponse.FromString(body) == ordinary([first, changed])


def test_a_filtered_list_keeps_what_the_whole_one_encoded() -> None:
    calls: list[str] = []
    kept = encoded(calls)
    records = [container(number) for number in range(3)]
    kept.answer(records, 3)
    kept.answer(records[:1], 3)
    kept.answer(records, 3)
    assert len(calls) == 3


def test_objects_that_came_and_went_do_not_pile_up() -> None:
    kept = encoded([])
    for number in range(1000):
        kept.answer([container(number)], 5)
        assert len(kept) <= 11


STATES = {
    ContainerState.CREATED: pb.CONTAINER_CREATED,
    ContainerState.RUNNING: pb.CONTAINER_RUNNING,
    ContainerState.PAUSED: pb.CONTAINER_RUNNING,
    ContainerState.EXITED: pb.CONTAINER_EXITED,
    ContainerState.UNKNOWN: pb.CONTAINER_UNKNOWN,
}


@pytest.mark.parametrize("state", STATES)
def test_a_container_is_shown_as(state: ContainerState) -> None:
    assert answers.container_item(container(state=state)).state == STATES[state]


def test_every_state_has_a_name_at_the_cri() -> None:
    assert set(answers.CONTAINER_STATES) == set(ContainerState)


@pytest.mark.parametrize("state", SandboxState)
def test_a_sandbox_is_ready_only_when_it_is(state: SandboxState) -> None:
    ready = answers.sandbox_item(sandbox(state=state)).state == pb.SANDBOX_READY
    assert ready == (state is SandboxState.READY)


SIGNALS = {"TERM": "SIGNAL_SIGTERM", "SIGQUIT": "SIGNAL_SIGQUIT", "9": "SIGNAL_SIGKILL", "nonsense": "SIGNAL_SIGTERM"}
SIGNALS |= {"RTMIN": "SIGNAL_SIGRTMIN", "RTMIN+3": "SIGNAL_SIGRTMINPLUS3", "37": "SIGNAL_SIGRTMINPLUS3", "RTMAX-1": "SIGNAL_SIGRTMAXMINUS1"}


@pytest.mark.parametrize("name", SIGNALS)
def test_the_stop_signal_is_shown_as(name: str) -> None:
    status = answers.container_status(dataclasses.replace(container(), stop_signal=name))
    assert pb.Signal.Name(status.stop_signal) == SIGNALS[name]


REASONS = {
    "running": (ContainerState.RUNNING, 0, False, ""),
    "ended well": (ContainerState.EXITED, 0, False, "Completed"),
    "ended badly": (ContainerState.EXITED, 3, False, "Error"),
    "killed for memory": (ContainerState.EXITED, 137, True, "OOMKilled"),
}


@pytest.mark.parametrize("case", REASONS)
def test_the_reason_of_a_container_that(case: str) -> None:
    state, code, oom, reason = REASONS[case]
    record = dataclasses.replace(container(state=state), exit_code=code, oom_killed=oom)
    assert answers.container_status(record).reason == reason


def test_labels_match_a_selector() -> None:
    labels = {"a": "1", "b": "2"}
    assert answers.matches(labels, {})
    assert answers.matches(labels, {"a": "1"})
    assert not answers.matches(labels, {"a": "2"})
    assert not answers.matches(labels, {"c": "1"})
