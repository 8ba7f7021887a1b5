"""Models out of a study: test accuracy and export."""
