"""minicnn."""
