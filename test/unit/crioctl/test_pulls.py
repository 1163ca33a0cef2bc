"""The progress of pulls: what the daemon tells, and what is drawn of it."""

from __future__ import annotations

import io
import json

import pytest

from crio.cli.ctl.pulls import Layer, LineView, SilentView, TerminalView, bar, layer_line, parse_layers, view_for, watch_pull

REFERENCE = "registry.k8s.io/web:1"
LAYER = {"digest": "sha256:" + "a" * 64, "total_bytes": 1000, "fetched_bytes": 250, "state": "FETCHING"}
PULL = {"reference": REFERENCE, "state": "LAYERS", "endpoint": "x", "layers": [LAYER]}
OTHER = {"reference": "other:1", "state": "LAYERS", "endpoint": "x", "layers": []}
ANSWERS: dict[str, tuple[object, int]] = {
    "the pull alone": ([PULL], 1),
    "the pull beside another": ([OTHER, PULL], 1),
    "the only pull, under its full name": ([PULL | {"reference": "docker.io/library/web:1"}], 1),
    "other pulls only": ([OTHER, OTHER | {"reference": "third:1"}], 0),
    "nothing": ([], 0),
    "no list": ({}, 0),
    "no objects": ([1, "x"], 0),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_the_layers_of_the_right_pull_are_found(what: str) -> None:
    answer, count = ANSWERS[what]
    assert len(parse_layers(json.dumps(answer).encode(), REFERENCE)) == count


def test_an_answer_that_is_no_json_has_no_layers() -> None:
    assert parse_layers(b"404: Not Found", REFERENCE) == ()


SHARES = {
    "waiting": (Layer("d", "WAITING", 0, 100), 0.0),
    "half": (Layer("d", "FETCHING", 50, 100), 0.5),
    "more than was promised": (Layer("d", "FETCHING", 150, 100), 1.0),
    "of unknown size": (Layer("d", "FETCHING", 50, 0), 0.0),
    "already there": (Layer("d", "PRESENT", 0, 100), 1.0),
}


@pytest.mark.parametrize("what", SHARES)
def test_the_share_of_a_layer(what: str) -> None:
    layer, share = SHARES[what]
    assert layer.share == share


def test_a_bar_has_always_its_width() -> None:
    assert [bar(share / 10, 8) for share in (0, 5, 10)] == ["░" * 8, "█" * 4 + "░" * 4, "█" * 8]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_line_fits_the_terminal(columns: int) -> None:
    assert len(layer_line(Layer("sha256:" + "a" * 64, "FETCHING", 123456, 98765432), columns)) <= columns


def test_lines_tell_every_change_once() -> None:
    stream = io.StringIO()
    view = LineView(stream)
    for state in ("WAITING", "FETCHING", "FETCHING", "COMMITTED"):
        view.show([Layer("sha256:" + "a" * 64, state, 0, 1000)])
    assert stream.getvalue().splitlines() == [
        "layer aaaaaaaaaaaa: waiting (1.0 kB)",
        "layer aaaaaaaaaaaa: fetching (1.0 kB)",
        "layer aaaaaaaaaaaa: done (1.0 kB)",
    ]


def test_bars_are_drawn_over_each_other_and_end_full() -> None:
    stream = io.StringIO()
    view = TerminalView(stream)
    layers = [Layer("sha256:" + digit * 64, "FETCHING", 10, 1000) for digit in "ab"]
    view.show(layers)
    view.show(layers)
    view.finish(layers)
    text = stream.getvalue()
    assert text.count("\x1b[2F\x1b[J") == 2
    assert "░" not in text.rpartition("\x1b[J")[2]


def test_a_pull_goes_on_where_nobody_tells_how_far_it_is() -> None:
    answers = iter([None, None, "id"])
    assert watch_pull("/nowhere/crio.sock", REFERENCE, lambda _: next(answers), quiet=False) == "id"


def test_a_quiet_pull_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(view_for(io.StringIO(), quiet=True), SilentView)
    answers = iter([None, "id"])
    assert watch_pull("/nowhere/crio.sock", REFERENCE, lambda _: next(answers), quiet=True) == "id"
    assert capsys.readouterr() == ("", "")
