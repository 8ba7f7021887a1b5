"""What a trained network depends on, and how sensitive it is to noise, corruptions and its own weights.

A diagnosis is one file of `diagnoses/` (`registry.py` says what it gives). `run.py` applies the chosen ones to several models on
the same images; `page.py` and `tables.py` show the findings side by side. Nothing here chooses a model or changes a study.
"""
