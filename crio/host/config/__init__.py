"""Where settings come from: files, environment, flags and the host; the rules are in ``crio.core.settings``."""
