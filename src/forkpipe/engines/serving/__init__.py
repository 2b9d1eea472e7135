"""Requests to servers: which server is asked, what a failure means, how replies are read."""
