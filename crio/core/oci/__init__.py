"""Building OCI runtime specifications: frozen inputs in, one JSON document and its warnings out."""
