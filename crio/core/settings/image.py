"""``[crio.image]``: pulling, trusting and keeping images. Source: crio-interfaces §2.8."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import timedelta

from crio.core.settings.rules import ABSOLUTE_PATH, FULL_IMAGE_REFERENCE, NOT_NEGATIVE
from crio.core.settings.schema import Flag, Reload, setting


class ImageVolumes(enum.StrEnum):
    """What is done with the volumes that an image declares."""

    MKDIR = "mkdir"
    BIND = "bind"
    IGNORE = "ignore"


class ShortNameMode(enum.StrEnum):
    """How a name without a registry is resolved."""

    ENFORCING = "enforcing"
    DISABLED = "disabled"

    @classmethod
    def _missing_(cls, value: object) -> ShortNameMode | None:
        """The empty string means enforcing."""
        return cls.ENFORCING if value == "" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSettings:
    """Images: transports, credentials, the pause image, signatures."""

    default_transport: str = setting(
        "docker://",
        "Prefix for references that cannot be read as they stand.",
        Flag("default-transport", "CONTAINER_DEFAULT_TRANSPORT"),
    )
    global_auth_file: str = setting("", "File with the credentials for registries.", Flag("global-auth-file", "CONTAINER_GLOBAL_AUTH_FILE"))
    namespaced_auth_dir: str = setting(
        "/etc/crio/auth",
        "Directory of credential files for single Kubernetes namespaces.",
        Flag("namespaced-auth-dir", "CONTAINER_NAMESPACED_AUTH_DIR", hidden=True),
        rule=ABSOLUTE_PATH,
    )
    pause_image: str = setting(
        "registry.k8s.io/pause:3.10.1",
        "Image of the infra container.",
        Flag("pause-image", "CONTAINER_PAUSE_IMAGE"),
        reload=Reload.PAUSE_IMAGE,
        rule=FULL_IMAGE_REFERENCE,
    )
    pause_image_auth_file: str = setting(
        "",
        "File with the credentials for the pause image.",
        Flag("pause-image-auth-file", "CONTAINER_PAUSE_IMAGE_AUTH_FILE"),
        reload=Reload.PAUSE_IMAGE,
    )
    pause_command: str = setting(
        "/pause",
        "Command of the infra container; empty takes entrypoint and command of the image.",
        Flag("pause-command", "CONTAINER_PAUSE_COMMAND"),
        reload=Reload.PAUSE_IMAGE,
    )
    pinned_images: tuple[str, ...] = setting(
        (),
        "Images that garbage collection must keep: exact names, prefix* or *keyword*.",
        Flag("pinned-images", "CONTAINER_PINNED_IMAGES"),
        reload=Reload.PINNED_IMAGES,
    )
    signature_policy: str = setting(
        "",
        "Signature policy file; empty searches the usual places for policy.json.",
        Flag("signature-policy", "CONTAINER_SIGNATURE_POLICY"),
    )
    signature_policy_dir: str = setting(
        "/etc/crio/policies",
        "Directory of signature policies for single Kubernetes namespaces, each named NAMESPACE.json.",
        Flag("signature-policy-dir", "CONTAINER_SIGNATURE_POLICY_DIR"),
        rule=ABSOLUTE_PATH,
    )
    image_volumes: ImageVolumes = setting(
        ImageVolumes.MKDIR,
        "What becomes of volumes declared in an image: a directory, an anonymous bind mount, or nothing.",
        Flag("image-volumes", "CONTAINER_IMAGE_VOLUMES"),
    )
    insecure_registries: tuple[str, ...] = setting(
        (),
        "Registries without verified TLS.",
        Flag("insecure-registry", "CONTAINER_INSECURE_REGISTRY"),
        deprecated="it has no effect; set insecure in registries.conf",
    )
    big_files_temporary_dir: str = setting(
        "",
        "Directory for large temporary files of a pull; empty means /var/tmp.",
        Flag("big-files-temporary-dir", "CONTAINER_BIG_FILES_TEMPORARY_DIR"),
    )
    auto_reload_registries: bool = setting(
        False,
        "Read the registry configuration again as soon as a file of it changes.",
        Flag("auto-reload-registries", "AUTO_RELOAD_REGISTRIES"),
    )
    pull_progress_timeout: timedelta = setting(
        timedelta(0),
        "Give a pull up when no byte arrived for that long; 0s never does.",
        Flag("pull-progress-timeout", "CONTAINER_PULL_PROGRESS_TIMEOUT"),
        rule=NOT_NEGATIVE,
    )
    oci_artifact_mount_support: bool = setting(
        True,
        "Allow OCI artifacts as image volumes.",
        Flag("oci-artifact-mount-support", "CONTAINER_OCI_ARTIFACT_SUPPORT"),
    )
    short_name_mode: ShortNameMode = setting(
        ShortNameMode.ENFORCING,
        "Whether a short name that fits several registries is refused.",
        Flag("short-name-mode", "CONTAINER_SHORT_NAME_MODE"),
    )
