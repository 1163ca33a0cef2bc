"""``[crio.nri]``: the node resource interface. Source: crio-interfaces §2.13."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from crio.core.settings.schema import Flag, setting, table


@dataclass(frozen=True, slots=True, kw_only=True)
class NriDefaultValidator:
    """``[crio.nri.default_validator]``: what plugins may not change."""

    nri_enable_default_validator: bool = setting(
        False, "Check what plugins change before it is used.", Flag("nri-enable-default-validator")
    )
    nri_validator_reject_oci_hook_adjustment: bool = setting(
        False, "Refuse plugins that add OCI hooks.", Flag("nri-validator-reject-oci-hook-adjustment")
    )
    nri_validator_reject_runtime_default_seccomp_adjustment: bool = setting(
        False,
        "Refuse plugins that change the runtime's default seccomp profile.",
        Flag("nri-validator-reject-runtime-default-seccomp-adjustment"),
    )
    nri_validator_reject_unconfined_seccomp_adjustment: bool = setting(
        False,
        "Refuse plugins that set seccomp for unconfined containers.",
        Flag("nri-validator-reject-unconfined-seccomp-adjustment"),
    )
    nri_validator_reject_custom_seccomp_adjustment: bool = setting(
        False,
        "Refuse plugins that change a seccomp profile chosen by the pod.",
        Flag("nri-validator-reject-custom-seccomp-adjustment"),
    )
    nri_validator_reject_namespace_adjustment: bool = setting(
        False, "Refuse plugins that change namespaces.", Flag("nri-validator-reject-namespace-adjustment")
    )
    nri_validator_required_plugins: tuple[str, ...] = setting(
        (), "Plugins that have to be there for every container.", Flag("nri-validator-required-plugins")
    )
    nri_validator_tolerate_missing_plugins_annotation: str = setting(
        "",
        "Annotation with which a pod may do without the required plugins.",
        Flag("nri-validator-tolerate-missing-plugins-annotation"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NriSettings:
    """The socket for NRI plugins, where they are, and how long they may take."""

    enable_nri: bool = setting(True, "Let NRI plugins take part.", Flag("enable-nri"))
    nri_listen: str = setting("/var/run/nri/nri.sock", "Unix socket for NRI plugins.", Flag("nri-listen"))
    nri_plugin_dir: str = setting("/opt/nri/plugins", "Directory of plugins that the daemon starts.", Flag("nri-plugin-dir"))
    nri_plugin_config_dir: str = setting("/etc/nri/conf.d", "Directory of the plugins' configurations.", Flag("nri-plugin-config-dir"))
    nri_disable_connections: bool = setting(False, "Refuse plugins that connect from outside.", Flag("nri-disable-connections"))
    nri_plugin_registration_timeout: timedelta = setting(
        timedelta(seconds=5), "Time for a plugin to register.", Flag("nri-plugin-registration-timeout")
    )
    nri_plugin_request_timeout: timedelta = setting(
        timedelta(seconds=2), "Time for a plugin to answer a request.", Flag("nri-plugin-request-timeout")
    )
    default_validator: NriDefaultValidator = table(NriDefaultValidator, "Built-in check of what NRI plugins change.")
