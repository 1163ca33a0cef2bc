"""Which network new pods get, and the sentence that says why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crio.core.cni.config import NetworkConfig


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file of the configuration directory: the network in it, or why it is not usable."""

    file_name: str
    network: NetworkConfig | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen network, or a message that says what is missing; ``problems`` are the files passed over."""

    network: NetworkConfig | None
    message: str = ""
    problems: tuple[str, ...] = ()


def choose_network(candidates: Sequence[Candidate], default_name: str, config_dir: str) -> Choice:
    """Picks the network named ``default_name``, or the first usable one in the order of file names.

    A chain of nothing but ``loopback`` is only chosen by name: the daemon brings ``lo`` up itself.
    """
    ordered = sorted(candidates, key=lambda candidate: candidate.file_name)
    problems = tuple(candidate.problem for candidate in ordered if candidate.problem)
    networks = [candidate.network for candidate in ordered if candidate.network is not None and not candidate.problem]
    if default_name:
        for network in networks:
            if network.name == default_name:
                return Choice(network, problems=problems)
        known = ", ".join(network.name for network in networks) or "no network"
        message = f"no CNI network named {default_name!r} (cni_default_network) in {config_dir}, which has {known}"
    else:
        for network in networks:
            if not network.is_only_loopback():
                return Choice(network, problems=problems)
        message = f"no CNI configuration file in {config_dir}. Has your network provider started?"
    if problems:
        message = f"{message} Not usable: {'; '.join(problems)}"
    return Choice(None, message, problems)
