"""Problems: raw rows, decontamination, and what decides that two texts are the same problem."""
