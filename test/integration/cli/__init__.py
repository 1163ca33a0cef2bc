"""The subcommands of crio on a real store."""
