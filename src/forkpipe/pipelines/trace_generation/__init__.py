"""Problems -> traces -> verdicts -> strategies -> trace sets."""
