"""Trainings that pause at rungs: `rung` ranks the trials at one, `promotion` says how many go on, `ladder` which one is next."""
