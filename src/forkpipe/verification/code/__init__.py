"""Programs as answers: tests as gold answers, the program of a response, and whether it passes the tests.

The program runs in a sandbox (`forkpipe.sandbox`); what it wrote or returned is compared here, on plain data, so that
the expected outputs never are in its process.
"""
