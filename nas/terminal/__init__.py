"""What `nas` shows in the terminal: tables, panels and progress."""
