"""``make run | up | down``: a pod from a loopback registry, step by step.

``run`` takes everything away again, also after Ctrl-C and after a failure. ``up`` leaves the daemon, the registry and a running pod
for hand work and notes in a file what is there; ``down`` ends it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import sys
from dataclasses import dataclass

from crio.cli.ctl.client import Client
from crio.cli.ctl.errors import CtlError
from crio.core.errors import CriError
from crio.cri import api_pb2 as pb
from hack import demo_interrupt, demo_pod, demo_runtime, demo_sweep
from hack.demo_display import Display
from hack.demo_interrupt import Interrupted
from hack.demo_places import ROOT, Places, make_places, write_files
from hack.demo_runtime import DemoError, Process
from test.images.catalog import BUSYBOX, PAUSE, REDIS, WEB
from test.support import registry

STATE = pathlib.Path(os.environ.get("CRIO_DEMO_STATE") or "/run/crio-demo.json")
RUN_IMAGES = (PAUSE, WEB)
UP_IMAGES = (PAUSE, WEB, BUSYBOX, REDIS)
INTERRUPTED = 130


@dataclass(slots=True)
class Demo:
    """What is there so far; ``down`` of a later call can go on from a file of this."""

    places: Places
    baseline: demo_sweep.Baseline
    registry: Process | None = None
    daemon: Process | None = None

    def to_json(self) -> str:
        """The demo as text."""
        return json.dumps(dataclasses.asdict(self), default=str, indent=1) + "\n"


def from_json(text: str) -> Demo:
    """The demo of a text that ``to_json`` made."""
    value = json.loads(text)
    places = Places(pathlib.Path(value["places"]["root"]), value["places"]["tag"], value["places"]["subnet"])
    kept = value["baseline"]
    baseline = demo_sweep.Baseline(kept["forwarding"], tuple(kept["directories"]), tuple(kept["chains"]))
    processes = [Process(**value[name]) if value[name] else None for name in ("registry", "daemon")]
    return Demo(places, baseline, *processes)


def _short(reference: str) -> str:
    return reference.rpartition("/")[2]


def _set_up(demo: Demo, display: Display, images: tuple[str, ...]) -> tuple[Client, str]:
    """Registry, images, daemon; returns a connection and the reference of the demo image in the registry."""
    with display.step("registry") as step:
        running = registry.start(demo.places.root / "registry")
        demo.registry = demo_runtime.identify(running.process.pid)
        running.process.returncode = 0
        step.tell(f"docker-registry listens on {running.address}")
    with display.step("image kit") as step:
        step.tell(f"building {len(images)} images from this machine's packages")
        running.push(*images)
        step.tell(f"pushed {', '.join(map(_short, images))}")
    write_files(demo.places, running.address)
    with display.step("daemon") as step:
        demo.daemon = demo_runtime.start_daemon(demo.places)
        client = demo_runtime.connect(demo.places, demo.daemon)
        version = demo_runtime.call(client, "Version", pb.VersionRequest(), pb.VersionResponse)
        step.tell(f"{version.runtime_name} {version.runtime_version} answers on {demo.places.socket}")
    return client, f"{running.address}/{WEB.partition('/')[2]}"


def _show(client: Client, demo: Demo, display: Display, image: str) -> None:
    """Pull, run, look."""
    with display.step("PullImage") as step:
        image_id = demo_pod.pull(client, image, step)
        found = demo_runtime.call(client, "ImageStatus", pb.ImageStatusRequest(image=pb.ImageSpec(image=image)), pb.ImageStatusResponse)
        step.tell(f"{image}  {found.image.size / 1e6:.1f} MB, id {image_id.removeprefix('sha256:')[:13]}")
    pod_id, container_id = demo_pod.run_steps(client, demo.places, display, image)
    demo_pod.look_steps(client, display, pod_id, container_id)


def _take_down(demo: Demo, display: Display) -> bool:
    """Stop pods, daemon and registry and remove every trace; says what had to be removed by force. True when nothing had."""
    if demo.daemon is not None and demo.daemon.alive():
        try:
            with demo_runtime.connect(demo.places, demo.daemon) as client:
                demo_pod.stop_everything(client, display)
        except (CtlError, CriError, DemoError, Interrupted) as error:
            display.line(f"  the daemon did not stop the pod: {error or 'interrupted'}")
    with display.step("clean-up") as step:
        for process in (demo.daemon, demo.registry):
            if process is not None:
                process.stop()
        left = demo_sweep.sweep(demo.places, demo.baseline)
        step.tell("nothing is left behind" if not left else f"{len(left)} things had to be removed by force")
    for words in left:
        display.line(f"      {words}")
    return not left


def run() -> int:
    """The whole demo; nothing stays behind. The result is the exit code."""
    display = Display()
    demo = Demo(make_places(), demo_sweep.take_baseline())
    code = 1
    try:
        display.headline("crio: a pod from a loopback registry, step by step")
        client, image = _set_up(demo, display, RUN_IMAGES)
        with client:
            _show(client, demo, display, image)
        code = 0
    except (DemoError, CtlError, CriError, AssertionError, OSError) as error:
        display.line(f"\n{error}\n\nthe daemon's last words:\n{demo_runtime.log_tail(demo.places)}\n")
    except Interrupted:
        display.line("\n  interrupted: taking everything away")
        code = INTERRUPTED
    finally:
        clean = _take_down(demo, display)
    return code if clean or code else 1


HINTS = """
  the daemon runs; things to try:

    export CRIO_CONNECT={socket}
    {bin}/crioctl pod list
    {bin}/crioctl ctr list
    {bin}/crioctl image list
    {bin}/crioctl pod run --config {data}/sandbox_config.json
    {bin}/crioctl image pull registry.k8s.io/crio-test/redis:7
    {bin}/crioctl ctr create --pod POD --config {data}/container_redis.json
    {bin}/crio-status --socket {socket} info
    crictl --runtime-endpoint unix://{socket} ps -a
    crictl --runtime-endpoint unix://{socket} pods
    curl --unix-socket {socket} http://localhost/timeline
    tail -f {log}

  make down    ends it and cleans up
"""


def up() -> int:
    """Start everything and leave it running; the result is the exit code."""
    if STATE.exists():
        raise SystemExit(f"{STATE} is there: a demo is up already; `make down` ends it")
    display = Display()
    demo = Demo(make_places(), demo_sweep.take_baseline())
    try:
        display.headline("crio: a daemon for hand work")
        client, image = _set_up(demo, display, UP_IMAGES)
        with client:
            _show(client, demo, display, image)
        STATE.write_text(demo.to_json())
    except (DemoError, CtlError, CriError, AssertionError, OSError, Interrupted) as error:
        if not isinstance(error, Interrupted):
            display.line(f"\n{error}\n\nthe daemon's last words:\n{demo_runtime.log_tail(demo.places)}\n")
        _take_down(demo, display)
        return INTERRUPTED if isinstance(error, Interrupted) else 1
    places = demo.places
    display.line(HINTS.format(socket=places.socket, bin=ROOT / "bin", data=ROOT / "test" / "testdata", log=places.daemon_log))
    return 0


def down() -> int:
    """End what ``up`` left running; the result is the exit code."""
    try:
        demo = from_json(STATE.read_text())
    except FileNotFoundError:
        print("no demo is up", file=sys.stderr)
        return 0
    display = Display()
    display.headline("crio: ending the daemon for hand work")
    clean = _take_down(demo, display)
    STATE.unlink()
    return 0 if clean else 1


def main() -> int:
    """The command line."""
    verbs = {"run": run, "up": up, "down": down}
    parser = argparse.ArgumentParser(prog="python -m hack.demo", description="a pod from a loopback registry, step by step")
    parser.add_argument("verb", choices=verbs)
    given = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("hack.demo: expected to be root: pods need namespaces, mounts and cgroups")
    demo_interrupt.listen()
    return verbs[given.verb]()


if __name__ == "__main__":
    sys.exit(main())
