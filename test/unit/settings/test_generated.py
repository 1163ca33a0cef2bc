"""What is generated from the declarations: the commented file, manual pages, help, completions."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from crio.cli.commands import ROOT, walk_commands
from crio.cli.completion import completion
from crio.cli.config_cmd import config_text, run_config
from crio.cli.flags import UsageError, global_settings, parse_command_line
from crio.cli.help import help_text
from crio.cli.man import page, to_markdown, to_roff
from crio.core.errors import InvalidArgument
from crio.host.config.load import ConfigError, ConfigSources, load_settings

NO_FILES = ["--config", "", "--config-dir", ""]


def test_the_printed_configuration_reads_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "crio.conf"
    written.write_text("[crio.runtime]\nlog_level = 'debug'\n[crio.runtime.runtimes.runc]\nruntime_path = '/r'\n")
    environ = {"CONTAINERS_STORAGE_CONF": str(tmp_path / "storage.conf")}
    (tmp_path / "storage.conf").write_text("[storage]\ngraphroot = '/g'\n")
    arguments = ["-c", str(written), "-d", ""]
    assert run_config(parse_command_line([*arguments, "config"], {}), environ) == 0
    printed = capsys.readouterr().out
    assert '\nlog_level = "debug"\n' in printed and '\n# root = "/g"\n' in printed
    before = load_settings(parse_command_line(arguments, {}).config_sources(environ)).settings
    written.write_text(printed)
    after = load_settings(parse_command_line(arguments, {}).config_sources(environ))
    assert after.settings == before and after.findings == ()


def test_the_default_configuration_shows_every_key_in_effect(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_config(parse_command_line([*NO_FILES, "config", "--default"], {}), {}) == 0
    printed = capsys.readouterr().out
    assert '\nlisten = "/var/run/crio/crio.sock"\n' in printed
    assert "\n[crio.runtime.runtimes.crun]\n" in printed


def test_warnings_go_to_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "crio.conf"
    path.write_text("[crio]\nrooot = '/x'\nlog_dir = '/a'\n")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/1").write_text("[crio]\nlog_dir = '/b'\n")
    assert run_config(parse_command_line(["-c", str(path), "-d", str(tmp_path / "d"), "config"], {}), {}) == 0
    assert capsys.readouterr().err == f'warning: {path}:2: crio.rooot: unknown key (did you mean "root"?)\n'


def test_a_bad_configuration_is_not_printed(tmp_path: Path) -> None:
    path = tmp_path / "crio.conf"
    path.write_text("[crio]\nroot = 1\n")
    with pytest.raises(ConfigError, match=r"crio.conf:2: crio\.root"):
        run_config(parse_command_line(["-c", str(path), "-d", "", "config"], {}), {})


def test_without_files_everything_is_commented_out() -> None:
    text = config_text(load_settings(ConfigSources(config="", config_dir="")), is_default=False)
    assert [line for line in text.splitlines() if line and line[0] not in "#["] == []


@pytest.mark.parametrize("name", ["crio", "crio.conf", "crio.conf.d"])
def test_manual_pages_have_everything(name: str) -> None:
    roff, markdown = to_roff(page(name)), to_markdown(page(name))
    assert roff.startswith(f'.TH "{name.upper()}" ') and markdown.startswith(f"# {name} ")
    for section in ("NAME", "DESCRIPTION", "SEE ALSO"):
        assert f"\n.SH {section}\n" in roff and f"\n## {section}\n" in markdown


def test_the_manual_page_explains_every_flag_and_command() -> None:
    markdown = to_markdown(page("crio"))
    for one in global_settings():
        assert one.flag is not None
        assert (f"`--{one.flag.name}" in markdown) is not one.flag.hidden
    for command in walk_commands():
        assert (f"### crio {command.name}" in markdown) is not command.is_hidden
    for section in ("FILES", "ENVIRONMENT", "SEE ALSO"):
        assert f"## {section}" in markdown


def test_the_manual_page_of_the_file_explains_every_table() -> None:
    markdown = to_markdown(page("crio.conf"))
    for table in ("crio.runtime.runtimes.NAME", "crio.runtime.workloads.NAME.resources", "crio.nri.default_validator"):
        assert f"## [{table}]" in markdown.replace("\\", "")
    assert "A reload applies a new value." in markdown


def test_an_unknown_manual_page_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"expected one of crio, crio.conf, crio.conf.d"):
        page("cri")


def test_roff_has_no_stray_controls() -> None:
    for name in ("crio", "crio.conf"):
        for line in to_roff(page(name)).splitlines():
            assert not line.startswith(("'", "\\&'")) and (not line.startswith(".") or line[1:3] in ("TH", "SH", "SS", "TP", "PP"))


def test_help_names_commands_and_flags() -> None:
    text = help_text([])
    assert "usage: crio [FLAGS] COMMAND\n" in text
    assert "  --log-level, -l TEXT\n" in text and "--registries-conf " not in text
    assert "  check " in text and "publish" not in text
    assert "usage: crio status containers [FLAGS]\n" in help_text(["status", "cs"])
    assert "--id, -i TEXT" in help_text(["status", "cs"])
    with pytest.raises(UsageError, match='command "x" not supported'):
        help_text(["status", "x"])


def test_completions_know_every_command_and_flag() -> None:
    for shell in ("", "bash", "fish", "zsh"):
        code = completion(shell)
        for one in global_settings():
            assert one.flag is not None
            name = f"-l {one.flag.name} " if shell == "fish" else f"--{one.flag.name}"
            assert name in code or one.flag.hidden
        for command in ROOT.commands:
            assert command.word in code or command.is_hidden
    with pytest.raises(UsageError, match="only bash, fish or zsh are supported"):
        completion("tcsh")


COMPLETED = {
    "a command": ("crio conf", {"config"}),
    "a flag": ("crio --log-l", {"--log-level"}),
    "a flag of a command": ("crio check --re", {"--repair"}),
    "a sub-command behind a flag with a value": ("crio -l debug status inf", {"info"}),
    "a shell": ("crio complete z", {"zsh"}),
    "a flag of a sub-command": ("crio status containers --i", {"--id"}),
    "nothing hidden": ("crio pub", set()),
}


@pytest.mark.parametrize("case", COMPLETED)
def test_bash_completes(case: str) -> None:
    line, words = COMPLETED[case]
    script = f'{completion("bash")}\nCOMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _crio; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert (set(done.stdout.split()), done.stderr) == (words, "")
