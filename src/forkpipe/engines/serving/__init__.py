"""Talking to servers: which one is asked, what a failure means, what a reply holds."""
