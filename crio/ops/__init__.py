"""One module per verb: the order in which core decides and host does."""
