"""The fidelity of a study's proxy training: does it rank architectures as a longer training does, and would a cheaper one?

plan      architectures, budgets and jobs: plain values
store     the results of jobs: one file, a line each
worker    runs a job: the only module here that imports torch
findings  records -> correlations, costs and noise
values    the findings as values, and their JSON
verdict   the findings in sentences
tables    the findings in the terminal
figure, page  the findings as HTML
run       a whole run, from the configuration to the findings
"""
