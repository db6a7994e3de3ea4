"""Reviewed data with source and date; read by `pertoken.catalogs`."""
