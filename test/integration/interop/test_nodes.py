"""The roots of other releases: a command inside sees the release, the given folders, and leaves no trace."""

from __future__ import annotations

import pathlib

import pytest

from test.integration.interop.kit import generation
from test.nodes import debian13
from test.support import isolation


@pytest.fixture(scope="module")
def node() -> debian13.Node:
    """The root of Debian 13."""
    with isolation.first_network():
        return debian13.node()


def test_a_command_runs_inside_with_its_folders_and_leaves_nothing(node: debian13.Node, tmp_path: pathlib.Path) -> None:
    (tmp_path / "given").write_text("from outside\n")
    script = f"cat /etc/debian_version {tmp_path}/given; echo from inside > {tmp_path}/back; touch /left"
    printed = node.run("sh", "-c", script, binds=[str(tmp_path)]).stdout.splitlines()
    assert printed[0].startswith("13.")
    assert printed[1:] == ["from outside"]
    assert (tmp_path / "back").read_text() == "from inside\n"
    assert not (node.root / "left").exists()
    assert not (node.root / str(tmp_path).lstrip("/")).exists()
    assert str(node.root) not in pathlib.Path("/proc/self/mountinfo").read_text()


def test_a_command_that_fails_says_why(node: debian13.Node) -> None:
    with pytest.raises(AssertionError, match="sh -c echo sorry >&2; exit 3 on trixie: 3: sorry"):
        node.run("sh", "-c", "echo sorry >&2; exit 3")
    assert node.run("false", check=False).returncode == 1


@pytest.mark.parametrize(("name", "version"), [("old", "4.3."), ("debian13", "5."), ("new", "5.")])
def test_the_generations_are_what_their_names_say(name: str, version: str, tmp_path: pathlib.Path) -> None:
    from test.integration.interop.kit import make_peer

    assert make_peer(generation(name), tmp_path, "127.0.0.1:1").run("podman", "--version").startswith(f"podman version {version}")
