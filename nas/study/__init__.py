"""A study: its configuration, its storage and its folder."""
