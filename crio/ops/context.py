"""What operations work with: the ports, the settings, the table. One frozen value, made in ``crio.main``."""

from __future__ import annotations

from dataclasses import dataclass

from crio.core.facts import HostFacts
from crio.core.settings.values import Settings
from crio.host.blocking import Blocking
from crio.host.cgroup.manager import CgroupManager
from crio.host.cni.manager import CniManager
from crio.host.exitwatch import ExitWatch
from crio.host.hostport.manager import HostportManager
from crio.host.pull.lazy import LazyPulls
from crio.host.registry.names import ImageNames
from crio.host.runtime.handlers import Handlers
from crio.host.store.port import StorePort
from crio.ops.flights import Flights
from crio.ops.meter import Meter
from crio.ops.stages import Timeline
from crio.ops.table import Table


@dataclass(frozen=True, slots=True)
class Programs:
    """Paths of our C programs and of the monitor."""

    monitor: str
    pinns: str


@dataclass(slots=True)
class Live:
    """What a reload replaces while operations run: each takes the value that is there when it looks."""

    settings: Settings


@dataclass(frozen=True, slots=True)
class Context:
    """Everything an operation may use. Operations take it whole and name what they touch in their own code."""

    live: Live
    facts: HostFacts
    programs: Programs
    store: StorePort
    table: Table
    flights: Flights
    timeline: Timeline
    blocking: Blocking
    handlers: Handlers
    cgroups: CgroupManager
    cni: CniManager
    hostports: HostportManager
    pulls: LazyPulls
    names: ImageNames
    exits: ExitWatch
    meter: Meter

    @property
    def settings(self) -> Settings:
        """The settings in force now."""
        return self.live.settings
