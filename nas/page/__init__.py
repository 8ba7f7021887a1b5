"""A study as the data of its page: the document of all trials, and each trial in detail, as plain JSON."""
