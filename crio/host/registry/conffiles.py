"""Reading registries.conf, its drop-ins and the recorded short-name aliases from disk."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from crio.core.image.document import Fields, JsonValue
from crio.core.image.errors import BadConfigFile, BadDocument
from crio.core.image.registries import RegistriesConf, merge_registries

FILE_LIMIT_BYTES = 4 * 1024 * 1024
SYSTEM_CONF = "/etc/containers/registries.conf"
SYSTEM_CONF_DIR = "/etc/containers/registries.conf.d"
RECORDED_ALIASES = "/var/cache/containers/short-name-aliases.conf"


@dataclass(frozen=True, slots=True)
class RegistriesFiles:
    """Where the configuration is, the user's drop-ins last. What is empty is not read."""

    conf: str = SYSTEM_CONF
    conf_dir: str = SYSTEM_CONF_DIR
    aliases: str = RECORDED_ALIASES
    user_conf_dir: str = ""


def user_folder(environ: Mapping[str, str]) -> str:
    """Where the user that the daemon runs as keeps the configuration of containers. Without HOME root is meant."""
    return os.path.join(environ.get("HOME") or "/root", ".config/containers")


def usual_registries_files(environ: Mapping[str, str]) -> RegistriesFiles:
    """The usual places: the user's file replaces the system's, the user's drop-ins come on top of the system's."""
    own = os.path.join(user_folder(environ), "registries.conf")
    return RegistriesFiles(conf=own if os.path.exists(own) else SYSTEM_CONF, user_conf_dir=f"{own}.d")


def read_bounded_file(path: str | Path, limit_bytes: int = FILE_LIMIT_BYTES) -> bytes:
    """The content of a small file.

    :raises BadConfigFile: it is bigger than any such file should be
    :raises OSError: it cannot be read
    """
    with open(path, "rb") as file:
        body = file.read(limit_bytes + 1)
    if len(body) > limit_bytes:
        raise BadConfigFile(f"{path}: more than {limit_bytes} bytes")
    return body


def load_registries(files: RegistriesFiles) -> RegistriesConf:
    """Reads the main file and the drop-ins (``*.conf`` in lexical order); a missing file is an empty one.

    :raises BadConfigFile: names the file, the key and what was expected
    """
    paths = [files.conf] if files.conf else []
    for folder in (files.conf_dir, files.user_conf_dir):
        if folder and os.path.isdir(folder):
            names = sorted(name for name in os.listdir(folder) if name.endswith(".conf"))
            paths.extend(os.path.join(folder, name) for name in names)
    tables = ((path, _load_toml(path)) for path in paths)
    return merge_registries((path, table) for path, table in tables if table is not None)


def load_recorded_aliases(files: RegistriesFiles) -> Mapping[str, str]:
    """The aliases that tools have recorded on this machine, by short name.

    :raises BadConfigFile: the file is not what those tools write
    """
    table = _load_toml(files.aliases) if files.aliases else None
    if table is None:
        return {}
    try:
        return Fields("", table).text_map("aliases")
    except BadDocument as error:
        raise BadConfigFile(f"{files.aliases}: {error.message}") from error


def _load_toml(path: str) -> Mapping[str, JsonValue] | None:
    try:
        body = read_bounded_file(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadConfigFile(f"{path}: {error.strerror}") from error
    try:
        # TOML has dates beyond JSON's types; the readers of the fields refuse whatever is not the type they want.
        return cast("Mapping[str, JsonValue]", tomllib.loads(body.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfigFile(f"{path}: not valid TOML: {error}") from error
