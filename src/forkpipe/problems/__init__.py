"""Problems: reading raw rows, decontamination, and deciding whether two texts are the same problem."""
