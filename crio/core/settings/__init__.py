"""Every setting of the daemon, declared once; flags, environment, TOML, man page and completions come from here."""
