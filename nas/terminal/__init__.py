"""The terminal output of `nas`: tables, panels and progress."""
