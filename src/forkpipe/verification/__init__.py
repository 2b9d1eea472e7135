"""Verifiers: what compares responses with gold answers (`base`), one file each, and the dispatch by answer type."""
