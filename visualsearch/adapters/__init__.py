"""Bridges to the formats and engines of others."""
