"""The report: figures, captions and the HTML page."""
