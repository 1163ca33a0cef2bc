"""The configuration of an image: what to run, as whom, and the digests of its layers.

Everything in it was written by a stranger; labels and environment stay data and never become settings of the runtime.
Source: OCI image specification, configuration; Docker image configuration, which has the same members.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from crio.core.image.digest import Digest, parse_digest
from crio.core.image.document import Fields, parse_object
from crio.core.image.errors import BadDocument, BadReference
from crio.core.image.platform import Platform


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The members of an image configuration that the runtime looks at."""

    platform: Platform
    diff_ids: tuple[Digest, ...]
    created: str = ""
    author: str = ""
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    stop_signal: str = ""
    volumes: tuple[str, ...] = ()
    exposed_ports: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def os(self) -> str:
        """The operating system in Go's name."""
        return self.platform.os

    @property
    def architecture(self) -> str:
        """The architecture in Go's name."""
        return self.platform.architecture


@dataclass(frozen=True, slots=True)
class ImageUser:
    """The user of an image as the CRI reports it: a number, or a name, or neither."""

    uid: int | None
    username: str


def parse_image_config(body: bytes, what: str = "image configuration") -> ImageConfig:
    """Parses an image configuration.

    :raises BadDocument: malformed JSON, a member of the wrong type, a root file system that is not made of layers
    """
    fields = parse_object(body, what)
    rootfs = fields.child("rootfs")
    if rootfs.text("type", "layers") != "layers":
        raise rootfs.wrong("type", "layers")
    config = fields.child("config")
    return ImageConfig(
        platform=Platform(fields.text("os"), fields.text("architecture"), fields.text("variant")),
        diff_ids=_diff_ids(rootfs),
        created=fields.text("created"),
        author=fields.text("author"),
        entrypoint=_words(config, "Entrypoint"),
        cmd=_words(config, "Cmd"),
        env=config.texts("Env"),
        working_dir=config.text("WorkingDir"),
        user=config.text("User"),
        stop_signal=config.text("StopSignal"),
        volumes=tuple(sorted(config.child("Volumes").values)),
        exposed_ports=tuple(sorted(config.child("ExposedPorts").values)),
        labels=config.text_map("Labels"),
    )


def image_user(user: str) -> ImageUser:
    """Splits ``config.User`` as the CRI wants it; the group is left out. Source: specification G.3."""
    name = user.partition(":")[0]
    if name.isascii() and name.isdigit() and int(name) < 2**63:
        return ImageUser(int(name), "")
    return ImageUser(None, name)


def _words(config: Fields, key: str) -> tuple[str, ...]:
    """A command line; very old images have a plain string, which Docker read as one word."""
    value = config.values.get(key)
    return (value,) if isinstance(value, str) and value else () if value == "" else config.texts(key)


def _diff_ids(rootfs: Fields) -> tuple[Digest, ...]:
    try:
        return tuple(parse_digest(text, f"{rootfs.path}.diff_ids") for text in rootfs.texts("diff_ids"))
    except BadReference as error:
        raise BadDocument(error.message) from error
