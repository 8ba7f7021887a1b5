"""Python code as syntax trees, whichever network it belongs to.

`source_files` reads files, `trees` and `global_names` ask what is in a piece of code. `known_values` says which conditions are
known, and `folding` leaves out what a network never does. `printing` turns trees into code again, by the `spelling` of
expressions; `expressions` are calls that construct modules.
"""
