"""Tables -> figures and one HTML report."""
