"""The value of ``--runtimes``: one runtime handler in a line. Source: crio-interfaces §1.3."""

from __future__ import annotations

from typing import Final

from crio.core.settings.convert import RefusedValueError, from_text
from crio.core.settings.decode import with_fields
from crio.core.settings.handler import RuntimeHandler
from crio.core.settings.schema import schema_of

_FIELDS: Final = (
    "runtime_path",
    "runtime_root",
    "runtime_type",
    "privileged_without_host_devices",
    "runtime_config_path",
    "container_min_memory",
)
_FORM: Final = "NAME:PATH:ROOT[:TYPE[:PRIVILEGED_WITHOUT_HOST_DEVICES[:CONFIG_PATH[:MIN_MEMORY]]]]"


def parse_runtime(text: str) -> tuple[str, RuntimeHandler]:
    """The name and the handler that ``text`` describes. Raises RefusedValueError."""
    name, *values = text.split(":")
    if not name or not 2 <= len(values) <= len(_FIELDS):
        raise RefusedValueError(text, _FORM)
    schema = schema_of(RuntimeHandler, ("crio", "runtime", "runtimes", name))
    changes: dict[str, object] = {}
    for key, value in zip(_FIELDS, values, strict=False):
        setting = schema.setting(key)
        assert setting is not None
        if value:
            changes[key] = from_text(setting, value)
    return name, with_fields(RuntimeHandler(), changes)
