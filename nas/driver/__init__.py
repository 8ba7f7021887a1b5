"""The driver of a search: what is trained next, when a training pauses or goes on, and what is written to the study."""
