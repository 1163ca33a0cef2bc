"""The daemon's timeline as a table of stages."""

from __future__ import annotations

from test.bench.stages import WHOLE, collect, markdown


def entry(verb: str, object_id: str, end_ms: int, **stages: int) -> dict[str, object]:
    """An entry as the status API tells it; an end of 0 means that it still runs."""
    spans = [{"name": name, "start_ns": 0, "end_ns": length * 1_000_000} for name, length in stages.items()]
    return {"verb": verb, "object_id": object_id, "start_ns": 0, "end_ns": end_ms * 1_000_000, "spans": spans}


def test_only_finished_calls_about_our_objects_count() -> None:
    timeline = [
        entry("CreateContainer", "ours", 50, runtime=40),
        entry("CreateContainer", "foreign", 500, runtime=400),
        entry("CreateContainer", "ours", 0, runtime=7),
        entry("CreateContainer", "ours", 60, runtime=45, storage=5),
    ]
    assert collect(timeline, {"ours"}) == {"CreateContainer": {WHOLE: [50.0, 60.0], "runtime": [40.0, 45.0], "storage": [5.0]}}


def test_calls_come_in_the_order_of_a_life() -> None:
    times = collect([entry("StopPodSandbox", "a", 80, network=60), entry("RunPodSandbox", "a", 40, network=30)], {"a"})
    rows = markdown(times).splitlines()[2:]
    assert rows == [
        f"| RunPodSandbox | {WHOLE} | 40.0 | 40.0 | 100% |",
        "|  | network | 30.0 | 30.0 | 75% |",
        f"| StopPodSandbox | {WHOLE} | 80.0 | 80.0 | 100% |",
        "|  | network | 60.0 | 60.0 | 75% |",
    ]
