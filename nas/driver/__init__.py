"""The driver of a search decides what is trained next and when a training pauses, and writes the outcomes to the study."""
