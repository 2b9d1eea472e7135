"""Raw rows -> problems."""
