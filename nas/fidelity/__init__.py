"""The fidelity of the proxy training of a study: how well it, and cheaper proxies, rank architectures like longer trainings.

request   the study, and the extent of a run
plan      architectures, budgets and jobs: plain values
store     the results of jobs: one file, one line per result
worker    runs a job; the only module here that imports torch
findings  records -> correlations, costs and noise
values    the findings as values, and their JSON
verdict   the findings in sentences
tables    the findings in the terminal
figure, page  the findings as HTML
run       a whole run, from the configuration to the findings
"""
