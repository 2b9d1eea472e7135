"""The embedded default: modular powers, their problems and the programs that solve them."""
