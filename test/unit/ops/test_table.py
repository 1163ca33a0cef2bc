"""The table: names, prefixes, filters, and that nothing is shown that is not saved."""

from __future__ import annotations

import dataclasses

import pytest

from crio.core.errors import AmbiguousId, InvalidArgument, NotFound, ResourceExhausted
from crio.core.lifecycle import SandboxState
from crio.ops.table import Table, reason_of
from test.unit.ops.samples import Memory, container, sandbox


@pytest.fixture
def journal() -> Memory:
    """Where the records go."""
    return Memory()


@pytest.fixture
def table(journal: Memory) -> Table:
    """A table with the sandboxes 0x11, 0x12 and 0x21 and a container in the first."""
    table = Table(journal)
    for number in (0x11, 0x12, 0x21):
        table.sandboxes.put(sandbox(number))
    table.containers.put(container(0x11))
    return table


FOUND = {"00000011": 0x11, "0000002": 0x21, sandbox(0x12).id: 0x12}
REFUSED = {
    "": (InvalidArgument, "sandbox id is empty: expected an id or a unique prefix of one"),
    "0000001": (AmbiguousId, "sandbox id '0000001' is ambiguous: 2 ids start with it"),
    "ffff": (NotFound, "sandbox 'ffff' does not exist"),
    "f" * 64: (NotFound, f"sandbox '{'f' * 64}' does not exist"),
}


@pytest.mark.parametrize("wanted", FOUND)
def test_an_id_or_a_unique_prefix_finds(table: Table, wanted: str) -> None:
    assert table.sandboxes.find(wanted) == sandbox(FOUND[wanted])


@pytest.mark.parametrize("wanted", REFUSED)
def test_other_ids_are_refused(table: Table, wanted: str) -> None:
    kind, words = REFUSED[wanted]
    with pytest.raises(kind) as caught:
        table.sandboxes.find(wanted)
    assert str(caught.value) == words


def test_find_or_none_forgives_the_unknown_only(table: Table) -> None:
    assert table.sandboxes.find_or_none("ffff") is None
    with pytest.raises(AmbiguousId):
        table.sandboxes.find_or_none("0000001")
    with pytest.raises(InvalidArgument):
        table.sandboxes.find_or_none("")


def test_a_filter_by_id_gives_one_or_none(table: Table) -> None:
    assert table.sandboxes.matching("0000002") == (sandbox(0x21),)
    assert table.sandboxes.matching("0000001") == ()
    assert table.sandboxes.matching("ffff") == ()
    assert len(table.sandboxes.matching("")) == 3


def test_names_follow_the_records(table: Table) -> None:
    first = sandbox(0x11)
    assert table.sandboxes.of_name(first.name) == first
    table.drop_sandbox(first.id)
    assert table.sandboxes.of_name(first.name) is None
    assert table.sandboxes.get(first.id) is None
    table.drop_sandbox(first.id)


def test_a_name_taken_over_stays_with_its_new_owner(table: Table) -> None:
    heir = dataclasses.replace(sandbox(0x31), name=sandbox(0x11).name)
    table.sandboxes.put(heir)
    table.drop_sandbox(sandbox(0x11).id)
    assert table.sandboxes.of_name(heir.name) == heir


def test_a_record_that_cannot_be_saved_is_not_shown(table: Table, journal: Memory) -> None:
    journal.full = True
    before = table.sandboxes.all()
    with pytest.raises(ResourceExhausted, match="No space left"):
        table.sandboxes.put(sandbox(0x41))
    with pytest.raises(ResourceExhausted, match="No space left"):
        table.sandboxes.put(sandbox(0x11, SandboxState.NOTREADY))
    assert table.sandboxes.all() == before


def test_what_has_happened_is_shown_even_if_it_cannot_be_saved(table: Table, journal: Memory, caplog: pytest.LogCaptureFixture) -> None:
    journal.full = True
    stopped = sandbox(0x11, SandboxState.NOTREADY)
    assert table.sandboxes.note(stopped) == stopped
    assert table.sandboxes.get(stopped.id) == stopped
    assert journal.saved[stopped.id].state is SandboxState.READY
    assert "No space left on device: shown, but not kept" in caplog.text


def test_loading_does_not_save(table: Table, journal: Memory) -> None:
    table.sandboxes.load(sandbox(0x51))
    assert sandbox(0x51).id not in journal.saved
    assert table.sandboxes.get(sandbox(0x51).id) is not None


def test_containers_of_a_sandbox(table: Table) -> None:
    assert table.containers_of(sandbox(0x11).id) == (container(0x11),)
    assert table.containers_of(sandbox(0x12).id) == ()


async def test_the_exit_event_goes_with_the_object(table: Table) -> None:
    wanted = container(0x11).id
    event = table.exited(wanted)
    assert table.exited(wanted) is event
    table.drop_container(wanted)
    assert table.exited(wanted) is not event


async def test_a_held_lock_survives_the_object(table: Table) -> None:
    wanted = container(0x11).id
    lock = table.lock(wanted)
    async with lock:
        table.drop_container(wanted)
        assert table.lock(wanted) is lock


def test_the_reason_of_an_error() -> None:
    assert reason_of(NotFound("no such thing")) == "no such thing"
    assert reason_of(KeyError("x")) == "KeyError: 'x'"


async def test_locks_live_as_long_as_they_are_used(table: Table) -> None:
    record = container(0x11)
    async with table.lock(record.id):
        assert table.lock(record.id).locked()
        table.drop_container(record.id)
    async with table.lock("another"):
        assert list(table._locks) == ["another"]
