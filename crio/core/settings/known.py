"""Names that come from the kernel, from TLS and from the annotation list, against which values are checked.

Source: capabilities(7), getrlimit(2), RFC 5246 and 8422 (suite names), crio-interfaces §6.2 (annotations).
"""

from __future__ import annotations

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


CAPABILITIES: Final = _words(
    """
    AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE DAC_READ_SEARCH
    FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN
    NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT
    SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM
    """
)

RLIMITS: Final = _words("core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack as")

CIPHER_SUITES: Final = _words(
    """
    TLS_RSA_WITH_RC4_128_SHA TLS_RSA_WITH_3DES_EDE_CBC_SHA
    TLS_RSA_WITH_AES_128_CBC_SHA TLS_RSA_WITH_AES_256_CBC_SHA TLS_RSA_WITH_AES_128_CBC_SHA256
    TLS_RSA_WITH_AES_128_GCM_SHA256 TLS_RSA_WITH_AES_256_GCM_SHA384
    TLS_ECDHE_ECDSA_WITH_RC4_128_SHA TLS_ECDHE_RSA_WITH_RC4_128_SHA TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA
    TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA
    TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA
    TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256 TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305 TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305
    """
)

# Annotations that have no effect unless a runtime handler or a workload allows them; the newer name, then the older.
ALLOWABLE_ANNOTATIONS: Final = _words(
    """
    cgroup2-mount-hierarchy-rw.crio.io io.kubernetes.cri-o.cgroup2-mount-hierarchy-rw
    devices.crio.io io.kubernetes.cri-o.Devices
    disable-fips.crio.io io.kubernetes.cri-o.DisableFIPS
    link-logs.crio.io io.kubernetes.cri-o.LinkLogs
    platform-runtime-path.crio.io io.kubernetes.cri-o.PlatformRuntimePath
    pod-linux-overhead.crio.io io.kubernetes.cri-o.PodLinuxOverhead
    pod-linux-resources.crio.io io.kubernetes.cri-o.PodLinuxResources
    seccomp-notifier-action.crio.io io.kubernetes.cri-o.seccompNotifierAction
    seccomp-profile.crio.io seccomp-profile.kubernetes.cri-o.io
    shm-size.crio.io io.kubernetes.cri-o.ShmSize
    spoofed.crio.io io.kubernetes.cri-o.Spoofed
    try-skip-volume-selinux-label.crio.io io.kubernetes.cri-o.TrySkipVolumeSELinuxLabel
    umask.crio.io io.kubernetes.cri-o.umask
    unified-cgroup.crio.io io.kubernetes.cri-o.UnifiedCgroup
    userns-mode.crio.io io.kubernetes.cri-o.userns-mode
    cpu-load-balancing.crio.io cpu-quota.crio.io irq-load-balancing.crio.io cpu-c-states.crio.io
    cpu-freq-governor.crio.io cpu-shared.crio.io io.containers.trace-syscall
    org.opencontainers.image.stopSignal io.kubernetes.cri.rdt-class
    bundle org.systemd.property. org.criu.config module.wasm.image/variant io.kubernetes.cri.container-type run.oci.
    """
)
