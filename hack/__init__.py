"""Tools of the tree: set-up, launchers, the demo. Nothing here is part of the daemon."""
