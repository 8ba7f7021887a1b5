"""The trained models of a study: test accuracy and export."""
