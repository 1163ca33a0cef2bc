"""Settings as TOML read back to themselves; a changed configuration is a list of changes."""

from __future__ import annotations

import dataclasses
import tomllib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from crio.core.settings.catalogue import walk
from crio.core.settings.decode import assemble, decode, with_fields
from crio.core.settings.reload import apply_changes, diff
from crio.core.settings.render import Style, render, toml_value
from crio.core.settings.schema import Kind, Reload, Setting, SubTable, Value
from crio.core.settings.values import (
    ImageSettings,
    LogLevel,
    NriDefaultValidator,
    NriSettings,
    RuntimeHandler,
    RuntimeSettings,
    RuntimeType,
    Settings,
    Workload,
    WorkloadResources,
)


def _read(text: str) -> Settings:
    decoded = decode(tomllib.loads(text))
    assert decoded.findings == []
    return assemble({one.path: one.value for one in decoded.assignments})


RICH = Settings(
    runtime=RuntimeSettings(
        log_level=LogLevel.DEBUG,
        default_env=tuple(f"VARIABLE_{number}=value" for number in range(9)),
        runtimes={
            **RuntimeSettings().runtimes,
            "a b": RuntimeHandler(
                runtime_type=RuntimeType.VM,
                default_annotations={"x.y/z": 'quo"te'},
                container_create_timeout=99,
            ),
        },
        workloads={"w": Workload(activation_annotation="a", resources=WorkloadResources(cpuset="0-1"))},
    ),
    image=ImageSettings(pull_progress_timeout=timedelta(seconds=90)),
    nri=NriSettings(default_validator=NriDefaultValidator(nri_validator_required_plugins=("a", "b"))),
)
_STRINGS = st.text(st.characters(codec="utf-8"), max_size=6)


def _values(setting: Setting) -> st.SearchStrategy[Value]:
    if setting.choices is not None:
        return st.sampled_from(list(setting.choices))
    by_kind: dict[Kind, st.SearchStrategy[Value]] = {
        Kind.STRING: _STRINGS,
        Kind.BOOL: st.booleans(),
        Kind.INTEGER: st.integers(-(2**63), 2**63 - 1),
        Kind.DURATION: st.integers(0, 10**12).map(lambda number: timedelta(microseconds=number)),
        Kind.LIST: st.lists(_STRINGS, max_size=3).map(tuple),
    }
    return by_kind[setting.kind]


@st.composite
def _some_settings(draw: st.DrawFn) -> Settings:
    effective: dict[tuple[str, ...], object] = {}
    for one in walk():
        if isinstance(one, SubTable):
            names = draw(st.lists(_STRINGS, max_size=2, unique=True))
            effective |= {(*one.path, name): one.entry_type() for name in names}
        elif draw(st.integers(0, 9)) == 0:
            effective[one.path] = draw(_values(one))
    return assemble(effective)


@pytest.mark.parametrize("style", Style)
@pytest.mark.parametrize("settings", [Settings(), RICH])
def test_what_is_written_reads_back(settings: Settings, style: Style) -> None:
    assert _read(render(settings, style)) == settings


@given(_some_settings(), st.sampled_from(Style))
@hypothesis_settings(max_examples=40, deadline=None)
def test_any_settings_read_back(settings: Settings, style: Style) -> None:
    assert _read(render(settings, style)) == settings


def test_the_built_in_configuration_is_all_comments() -> None:
    lines = [line for line in render(Settings(), Style.COMMENTED).splitlines() if line and not line.startswith("#")]
    assert lines == [
        "[crio]",
        "[crio.api]",
        "[crio.runtime]",
        "[crio.checkpoint_restore]",
        "[crio.image]",
        "[crio.network]",
        "[crio.metrics]",
        "[crio.tracing]",
        "[crio.nri]",
        "[crio.nri.default_validator]",
        "[crio.stats]",
    ]


def test_only_what_differs_is_in_effect() -> None:
    text = render(RICH, Style.COMMENTED)
    lines = [line for line in text.splitlines() if line and line[0] not in "#["]
    assert lines == [
        "default_env = [",
        *(f'    "VARIABLE_{number}=value",' for number in range(9)),
        "]",
        'log_level = "debug"',
        'runtime_type = "vm"',
        "container_create_timeout = 99",
        'default_annotations = { "x.y/z" = "quo\\"te" }',
        'activation_annotation = "a"',
        'cpuset = "0-1"',
        'pull_progress_timeout = "1m30s"',
        'nri_validator_required_plugins = ["a", "b"]',
    ]
    assert "# [crio.runtime.runtimes.crun]" in text and '[crio.runtime.runtimes."a b"]' in text
    assert '# log_dir = "/var/log/crio/pods"' in text


def test_everything_shows_every_key_in_effect_with_its_sentence() -> None:
    lines = render(Settings(), Style.EVERYTHING).splitlines()
    for one in walk():
        assert isinstance(one, SubTable) or any(line.startswith(f"{one.key} = ") for line in lines), one.key
    assert "# Unix socket that serves the CRI and the status API." in lines


def test_a_bare_file_has_no_comment() -> None:
    text = render(RICH)
    assert not any(line.startswith("#") for line in text.splitlines())


def test_a_baseline_decides_what_is_commented_out() -> None:
    below = Settings(image=ImageSettings(pause_command="/other"))
    assert '# pause_command = "/other"' in render(below, Style.COMMENTED, below)
    assert '\npause_command = "/pause"' in render(Settings(), Style.COMMENTED, below)


def test_a_value_of_another_type_is_a_bug() -> None:
    assert toml_value({}) == "{}"
    assert toml_value("\x00\x7f\t") == '"\\u0000\\u007f\\t"'
    with pytest.raises(TypeError, match="float"):
        toml_value(1.5)


def test_equal_configurations_have_no_changes() -> None:
    changes = diff(RICH, dataclasses.replace(RICH))
    assert changes.live == changes.restart == ()


def _changed() -> Settings:
    runtime = with_fields(
        RICH.runtime,
        {
            "runtimes": {"runc": RuntimeHandler()},
            "cdi_spec_dirs": ("/x",),
            "log_filter": "a",
            "read_only": True,
            "default_runtime": "runc",
        },
    )
    image = dataclasses.replace(RICH.image, pause_image="a.b/c:1", pinned_images=("x",))
    nri = dataclasses.replace(RICH.nri, default_validator=NriDefaultValidator())
    return dataclasses.replace(RICH, runtime=runtime, image=image, nri=nri)


def test_changes_come_in_the_order_in_which_they_are_applied() -> None:
    changes = diff(RICH, _changed())
    assert [change.key for change in changes.live] == [
        "log_filter",
        "pause_image",
        "pinned_images",
        "default_runtime",
        "runtimes",
        "cdi_spec_dirs",
    ]
    assert [change.reload for change in changes.live] == sorted(change.reload for change in changes.live)
    assert [change.path for change in changes.restart] == [
        ("crio", "runtime", "read_only"),
        ("crio", "nri", "default_validator"),
    ]
    assert all(change.reload is Reload.NEVER for change in changes.restart)
    assert (changes.live[0].old, changes.live[0].new) == ("", "a")


def test_applied_changes_leave_everything_else_as_it_runs() -> None:
    running = dataclasses.replace(RICH, runtime=dataclasses.replace(RICH.runtime, conmon="/from/a/flag"))
    applied = apply_changes(running, diff(RICH, _changed()).live)
    assert applied.runtime.conmon == "/from/a/flag"
    assert list(applied.runtime.runtimes) == ["runc"]
    assert applied.runtime.read_only is False
    assert applied.image == _changed().image
