"""``crioctl runtimeversion`` and ``crioctl info``."""

from __future__ import annotations

from crio.cli.ctl.client import Client
from crio.cli.ctl.options import Options
from crio.cli.ctl.present import facts, json_text, say
from crio.cri import api_pb2 as pb


def runtimeversion(client: Client, options: Options) -> int:
    """Print who answers."""
    answer = client.call("Version", pb.VersionRequest(version="v1"), pb.VersionResponse)
    if options.flag("json"):
        say(json_text(answer))
        return 0
    text = facts(
        [
            ("runtime", answer.runtime_name),
            ("version", answer.runtime_version),
            ("api version", answer.runtime_api_version),
            ("kubelet api version", answer.version),
        ]
    )
    say(text)
    return 0


def info(client: Client, options: Options) -> int:
    """Print whether the runtime is ready and what its handlers can do; the result is 1 when a condition does not hold."""
    answer = client.call("Status", pb.StatusRequest(verbose=options.flag("verbose")), pb.StatusResponse)
    if options.flag("json") or options.flag("verbose"):
        say(json_text(answer))
    else:
        say(info_text(answer))
    return 0 if all(condition.status for condition in answer.status.conditions) else 1


def info_text(answer: pb.StatusResponse) -> str:
    """The lines of ``info``."""
    pairs = []
    for condition in answer.status.conditions:
        words = " ".join(filter(None, [condition.reason, condition.message]))
        pairs.append((condition.type, "yes" if condition.status else f"no: {words}"))
    for handler in answer.runtime_handlers:
        features = [field.name.replace("_", " ") for field, value in handler.features.ListFields() if value is True]
        pairs.append((f"handler {handler.name or '(default)'}", ", ".join(features) or "no optional features"))
    return facts(pairs)
