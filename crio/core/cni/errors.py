"""The expected ways in which a pod gets no network."""

from __future__ import annotations

from crio.core.errors import DeadlineExceeded, FailedPrecondition, Internal, InvalidArgument, Unavailable


class NetworkNotReady(Unavailable):
    """There is no usable network configuration, or its plugin says that it is not ready."""


class BadNetworkConfig(FailedPrecondition):
    """A network configuration file is wrong: names the file, the key and what was expected."""


class BadPodNetwork(InvalidArgument):
    """A value of the pod cannot be handed to a plugin: names the field, the value and the rule."""


class PluginMissing(FailedPrecondition):
    """No directory has the plugin's program: names the plugin and the directories."""


class PluginFailed(Internal):
    """A plugin said no, or gave an answer that cannot be read.

    ``plugin_code`` is the plugin's own error code, 0 when it gave none. Source: CNI specification, section 5, Error.
    """

    def __init__(self, message: str, plugin_code: int = 0) -> None:
        super().__init__(message)
        self.plugin_code = plugin_code


class PluginTimedOut(DeadlineExceeded):
    """A plugin did not end in time and was killed: names the plugin and the time."""
