"""What upstream documents, for comparison with the declarations: flags and keys with their kinds.

Source: crio-interfaces §1.3, §2.2–§2.13. Kinds: s text, b switch, i integer, d duration, l list, m table.
"""

from __future__ import annotations

from typing import Final

# name, other spellings joined by commas, kind, environment variable, whether it is hidden
FLAGS: Final = """
absent-mount-sources-to-reject l CONTAINER_ABSENT_MOUNT_SOURCES_TO_REJECT
add-inheritable-capabilities b CONTAINER_ADD_INHERITABLE_CAPABILITIES
additional-artifact-stores l -
additional-devices l CONTAINER_ADDITIONAL_DEVICES
address s - hidden
allowed-devices l CONTAINER_ALLOWED_DEVICES
apparmor-profile s CONTAINER_APPARMOR_PROFILE
auto-reload-registries b AUTO_RELOAD_REGISTRIES
big-files-temporary-dir s CONTAINER_BIG_FILES_TEMPORARY_DIR
bind-mount-prefix s CONTAINER_BIND_MOUNT_PREFIX
blockio-config-file s -
blockio-reload b -
cdi-spec-dirs l CONTAINER_CDI_SPEC_DIRS
cgroup-manager s CONTAINER_CGROUP_MANAGER
checkpoint-restore-container-level-enabled s CONTAINER_CHECKPOINT_RESTORE_CONTAINER_LEVEL_ENABLED
clean-shutdown-file s CONTAINER_CLEAN_SHUTDOWN_FILE
cni-config-dir s CONTAINER_CNI_CONFIG_DIR
cni-default-network s CONTAINER_CNI_DEFAULT_NETWORK
cni-plugin-dir l CONTAINER_CNI_PLUGIN_DIR
cni-status-grace-period d CNI_STATUS_GRACE_PERIOD
collection-period i COLLECTION_PERIOD
config,c s CONTAINER_CONFIG
config-dir,d s CONTAINER_CONFIG_DIR
conmon s CONTAINER_CONMON
conmon-cgroup s CONTAINER_CONMON_CGROUP
conmon-env l CONTAINER_CONMON_ENV
container-attach-socket-dir s CONTAINER_ATTACH_SOCKET_DIR
container-exits-dir s CONTAINER_EXITS_DIR
ctr-stop-timeout i CONTAINER_STOP_TIMEOUT
decryption-keys-path s -
default-capabilities l CONTAINER_DEFAULT_CAPABILITIES
default-env l CONTAINER_DEFAULT_ENV
default-mounts-file s CONTAINER_DEFAULT_MOUNTS_FILE
default-runtime s CONTAINER_DEFAULT_RUNTIME
default-sysctls l CONTAINER_DEFAULT_SYSCTLS
default-transport s CONTAINER_DEFAULT_TRANSPORT
default-ulimits l CONTAINER_DEFAULT_ULIMITS
device-ownership-from-security-context b -
disable-hostport-mapping b DISABLE_HOSTPORT_MAPPING
drop-infra-ctr b CONTAINER_DROP_INFRA_CTR
enable-criu-support b CONTAINER_ENABLE_CRIU_SUPPORT
enable-metrics b CONTAINER_ENABLE_METRICS
enable-nri b -
enable-pod-events b ENABLE_POD_EVENTS
enable-profile-unix-socket b ENABLE_PROFILE_UNIX_SOCKET
enable-tracing b CONTAINER_ENABLE_TRACING
gid-mappings s CONTAINER_GID_MAPPINGS
global-auth-file s CONTAINER_GLOBAL_AUTH_FILE
grpc-max-recv-msg-size i CONTAINER_GRPC_MAX_RECV_MSG_SIZE
grpc-max-send-msg-size i CONTAINER_GRPC_MAX_SEND_MSG_SIZE
hooks-dir l CONTAINER_HOOKS_DIR
hostnetwork-disable-selinux b CONTAINER_HOSTNETWORK_DISABLE_SELINUX
image-volumes s CONTAINER_IMAGE_VOLUMES
imagestore s CONTAINER_IMAGESTORE
included-pod-metrics l CONTAINER_INCLUDED_POD_METRICS
infra-ctr-cpuset s CONTAINER_INFRA_CTR_CPUSET
insecure-registry l CONTAINER_INSECURE_REGISTRY
internal-repair b CONTAINER_INTERNAL_REPAIR
internal-wipe b CONTAINER_INTERNAL_WIPE
irqbalance-config-file s -
irqbalance-config-restore-file s -
listen s CONTAINER_LISTEN
log s CONTAINER_LOG
log-dir s CONTAINER_LOG_DIR
log-filter s CONTAINER_LOG_FILTER
log-format s CONTAINER_LOG_FORMAT
log-journald b CONTAINER_LOG_JOURNALD
log-level,l s CONTAINER_LOG_LEVEL
log-size-max i CONTAINER_LOG_SIZE_MAX
metrics-cert s CONTAINER_METRICS_CERT
metrics-collectors l CONTAINER_METRICS_COLLECTORS
metrics-host s CONTAINER_METRICS_HOST
metrics-key s CONTAINER_METRICS_KEY
metrics-port i CONTAINER_METRICS_PORT
metrics-socket s CONTAINER_METRICS_SOCKET
min-injected-gomaxprocs i CONTAINER_INJECT_GOMAXPROCS
minimum-mappable-gid i CONTAINER_MINIMUM_MAPPABLE_GID
minimum-mappable-uid i CONTAINER_MINIMUM_MAPPABLE_UID
namespaced-auth-dir s CONTAINER_NAMESPACED_AUTH_DIR hidden
namespaces-dir s CONTAINER_NAMESPACES_DIR
no-pivot b CONTAINER_NO_PIVOT
nri-disable-connections b -
nri-enable-default-validator b -
nri-listen s -
nri-plugin-config-dir s -
nri-plugin-dir s -
nri-plugin-registration-timeout d -
nri-plugin-request-timeout d -
nri-validator-reject-custom-seccomp-adjustment b -
nri-validator-reject-namespace-adjustment b -
nri-validator-reject-oci-hook-adjustment b -
nri-validator-reject-runtime-default-seccomp-adjustment b -
nri-validator-reject-unconfined-seccomp-adjustment b -
nri-validator-required-plugins l -
nri-validator-tolerate-missing-plugins-annotation s -
oci-artifact-mount-support b CONTAINER_OCI_ARTIFACT_SUPPORT
pause-command s CONTAINER_PAUSE_COMMAND
pause-image s CONTAINER_PAUSE_IMAGE
pause-image-auth-file s CONTAINER_PAUSE_IMAGE_AUTH_FILE
pids-limit i CONTAINER_PIDS_LIMIT
pinned-images l CONTAINER_PINNED_IMAGES
pinns-path s CONTAINER_PINNS_PATH
privileged-seccomp-profile s CONTAINER_PRIVILEGED_SECCOMP_PROFILE
profile b CONTAINER_PROFILE
profile-cpu s CONTAINER_PROFILE_CPU
profile-mem s CONTAINER_PROFILE_MEM
profile-port i CONTAINER_PROFILE_PORT
pull-progress-timeout d CONTAINER_PULL_PROGRESS_TIMEOUT
rdt-config-file s -
read-only b CONTAINER_READ_ONLY
registries-conf s CONTAINER_REGISTRIES_CONF hidden
registries-conf-dir s CONTAINER_REGISTRIES_CONF_DIR hidden
root,r s CONTAINER_ROOT
runroot s CONTAINER_RUNROOT
runtimes l CONTAINER_RUNTIMES
seccomp-profile s CONTAINER_SECCOMP_PROFILE
selinux b CONTAINER_SELINUX
separate-pull-cgroup s PULL_IN_A_CGROUP
shared-cpuset s CONTAINER_SHARED_CPUSET
short-name-mode s CONTAINER_SHORT_NAME_MODE
signature-policy s CONTAINER_SIGNATURE_POLICY
signature-policy-dir s CONTAINER_SIGNATURE_POLICY_DIR
stats-collection-period i CONTAINER_STATS_COLLECTION_PERIOD
storage-driver,s s CONTAINER_STORAGE_DRIVER
storage-opt l CONTAINER_STORAGE_OPT
stream-address s CONTAINER_STREAM_ADDRESS
stream-enable-tls b CONTAINER_ENABLE_TLS
stream-idle-timeout s STREAM_IDLE_TIMEOUT
stream-port s CONTAINER_STREAM_PORT
stream-tls-ca s CONTAINER_TLS_CA
stream-tls-cert s CONTAINER_TLS_CERT
stream-tls-key s CONTAINER_TLS_KEY
timezone,tz s CONTAINER_TIME_ZONE
tls-cipher-suites l CONTAINER_TLS_CIPHER_SUITES
tls-min-version s CONTAINER_TLS_MIN_VERSION
tracing-endpoint s CONTAINER_TRACING_ENDPOINT
tracing-sampling-rate-per-million i CONTAINER_TRACING_SAMPLING_RATE_PER_MILLION
uid-mappings s CONTAINER_UID_MAPPINGS
version-file s CONTAINER_VERSION_FILE
version-file-persist s CONTAINER_VERSION_FILE_PERSIST
"""

# table, key, kind, and R if a reload applies it
KEYS: Final = """
crio root s
crio runroot s
crio imagestore s
crio storage_driver s
crio storage_option l
crio log_dir s
crio version_file s
crio version_file_persist s
crio clean_shutdown_file s
crio internal_wipe b
crio internal_repair b
crio.api listen s
crio.api stream_address s
crio.api stream_port s
crio.api stream_enable_tls b
crio.api stream_idle_timeout s
crio.api stream_tls_cert s
crio.api stream_tls_key s
crio.api stream_tls_ca s
crio.api tls_min_version s
crio.api tls_cipher_suites l
crio.api grpc_max_send_msg_size i
crio.api grpc_max_recv_msg_size i
crio.runtime default_runtime s R
crio.runtime default_ulimits l
crio.runtime no_pivot b
crio.runtime decryption_keys_path s R
crio.runtime additional_artifact_stores l
crio.runtime conmon s
crio.runtime conmon_cgroup s
crio.runtime conmon_env l
crio.runtime default_env l
crio.runtime min_injected_gomaxprocs i
crio.runtime selinux b
crio.runtime seccomp_profile s R
crio.runtime privileged_seccomp_profile s R
crio.runtime apparmor_profile s R
crio.runtime blockio_config_file s R
crio.runtime blockio_reload b R
crio.runtime irqbalance_config_file s
crio.runtime irqbalance_config_restore_file s
crio.runtime rdt_config_file s R
crio.runtime cgroup_manager s
crio.runtime default_capabilities l
crio.runtime add_inheritable_capabilities b
crio.runtime default_sysctls l
crio.runtime allowed_devices l
crio.runtime additional_devices l
crio.runtime cdi_spec_dirs l R
crio.runtime device_ownership_from_security_context b
crio.runtime hooks_dir l
crio.runtime default_mounts_file s
crio.runtime pids_limit i
crio.runtime log_filter s R
crio.runtime log_level s R
crio.runtime log_size_max i
crio.runtime log_to_journald b
crio.runtime container_exits_dir s
crio.runtime container_attach_socket_dir s
crio.runtime bind_mount_prefix s
crio.runtime read_only b
crio.runtime uid_mappings s
crio.runtime gid_mappings s
crio.runtime minimum_mappable_uid i
crio.runtime minimum_mappable_gid i
crio.runtime ctr_stop_timeout i
crio.runtime drop_infra_ctr b
crio.runtime infra_ctr_cpuset s
crio.runtime shared_cpuset s
crio.runtime namespaces_dir s
crio.runtime pinns_path s
crio.runtime absent_mount_sources_to_reject l
crio.runtime enable_criu_support b
crio.runtime enable_pod_events b
crio.runtime hostnetwork_disable_selinux b
crio.runtime disable_hostport_mapping b
crio.runtime timezone s
crio.runtime separate_pull_cgroup s
crio.runtime runtimes m R
crio.runtime workloads m
crio.runtime.runtimes.NAME runtime_path s
crio.runtime.runtimes.NAME runtime_type s
crio.runtime.runtimes.NAME runtime_root s
crio.runtime.runtimes.NAME runtime_config_path s
crio.runtime.runtimes.NAME runtime_pull_image b
crio.runtime.runtimes.NAME inherit_default_runtime b
crio.runtime.runtimes.NAME privileged_without_host_devices b
crio.runtime.runtimes.NAME allowed_annotations l
crio.runtime.runtimes.NAME default_annotations m
crio.runtime.runtimes.NAME platform_runtime_paths m
crio.runtime.runtimes.NAME container_min_memory s
crio.runtime.runtimes.NAME container_create_timeout i
crio.runtime.runtimes.NAME monitor_path s
crio.runtime.runtimes.NAME monitor_cgroup s
crio.runtime.runtimes.NAME monitor_exec_cgroup s
crio.runtime.runtimes.NAME monitor_env l
crio.runtime.runtimes.NAME no_sync_log b
crio.runtime.runtimes.NAME stream_websockets b
crio.runtime.runtimes.NAME exec_cpu_affinity s
crio.runtime.runtimes.NAME seccomp_profile s
crio.runtime.workloads.NAME activation_annotation s
crio.runtime.workloads.NAME annotation_prefix s
crio.runtime.workloads.NAME allowed_annotations l
crio.runtime.workloads.NAME resources.cpushares i
crio.runtime.workloads.NAME resources.cpuquota i
crio.runtime.workloads.NAME resources.cpuperiod i
crio.runtime.workloads.NAME resources.cpuset s
crio.runtime.workloads.NAME resources.cpulimit i
crio.checkpoint_restore container_level_enabled s
crio.image default_transport s
crio.image global_auth_file s
crio.image namespaced_auth_dir s
crio.image pause_image s R
crio.image pause_image_auth_file s R
crio.image pause_command s R
crio.image pinned_images l R
crio.image signature_policy s
crio.image signature_policy_dir s
crio.image image_volumes s
crio.image insecure_registries l
crio.image big_files_temporary_dir s
crio.image auto_reload_registries b
crio.image pull_progress_timeout d
crio.image oci_artifact_mount_support b
crio.image short_name_mode s
crio.network cni_default_network s
crio.network network_dir s
crio.network plugin_dirs l
crio.network plugin_dir s
crio.network cni_status_grace_period d
crio.metrics enable_metrics b
crio.metrics metrics_collectors l
crio.metrics metrics_host s
crio.metrics metrics_port i
crio.metrics metrics_socket s
crio.metrics metrics_cert s
crio.metrics metrics_key s
crio.tracing enable_tracing b
crio.tracing tracing_endpoint s
crio.tracing tracing_sampling_rate_per_million i
crio.stats stats_collection_period i
crio.stats collection_period i
crio.stats included_pod_metrics l
crio.nri enable_nri b
crio.nri nri_listen s
crio.nri nri_plugin_dir s
crio.nri nri_plugin_config_dir s
crio.nri nri_disable_connections b
crio.nri nri_plugin_registration_timeout d
crio.nri nri_plugin_request_timeout d
crio.nri.default_validator nri_enable_default_validator b
crio.nri.default_validator nri_validator_reject_oci_hook_adjustment b
crio.nri.default_validator nri_validator_reject_runtime_default_seccomp_adjustment b
crio.nri.default_validator nri_validator_reject_unconfined_seccomp_adjustment b
crio.nri.default_validator nri_validator_reject_custom_seccomp_adjustment b
crio.nri.default_validator nri_validator_reject_namespace_adjustment b
crio.nri.default_validator nri_validator_required_plugins l
crio.nri.default_validator nri_validator_tolerate_missing_plugins_annotation s
"""
