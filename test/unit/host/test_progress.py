"""The counters of a pull: what a look at them says."""

from __future__ import annotations

from crio.host.pull.progress import LayerState, PullCounter, PullState


def test_a_pull_is_idle_since_something_moved() -> None:
    now_s = [100.0]
    counter = PullCounter("a/b:1", lambda: now_s[0])
    now_s[0] = 101.0
    assert counter.copy().idle_s == 1.0
    counter.restart()
    layer = counter.add_layer("sha256:1", 10, "application/x")
    now_s[0] = 103.0
    assert counter.copy().idle_s == 2.0
    layer.add(4)
    now_s[0] = 103.5
    seen = counter.copy()
    assert (seen.idle_s, seen.fetched_bytes, seen.total_bytes, seen.layers[0].media_type) == (0.5, 4, 10, "application/x")
    layer.enter(LayerState.UNPACKED)
    assert counter.copy().idle_s == 0.0
    now_s[0] = 110.0
    counter.enter(PullState.COMMITTING)
    assert counter.copy().idle_s == 0.0
