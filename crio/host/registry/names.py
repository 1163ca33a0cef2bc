"""Which full names a short one may mean on this machine, by registries.conf and the recorded aliases. Read once until ``reload``."""

from __future__ import annotations

from collections.abc import Mapping

from crio.core.image.reference import Reference
from crio.core.image.registries import RegistriesConf
from crio.core.image.shortnames import local_candidates
from crio.host.registry.conffiles import RegistriesFiles, load_recorded_aliases, load_registries


class ImageNames:
    """Looks names up; the files are read with the first question."""

    def __init__(self, files: RegistriesFiles) -> None:
        self._files = files
        self._read: tuple[RegistriesConf, Mapping[str, str]] | None = None

    def candidates(self, text: str) -> tuple[Reference, ...]:
        """The full references that ``text`` may mean, best first; raises InvalidArgument for an impossible one."""
        if self._read is None:
            self._read = (load_registries(self._files), load_recorded_aliases(self._files))
        return local_candidates(text, *self._read)

    def reload(self) -> None:
        """Forget what was read."""
        self._read = None
