"""Commands of `forkpipe` and `kedro` that this project adds."""
