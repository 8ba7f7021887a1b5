"""How faithful a study's proxy training is: does it rank architectures as a longer training does, and would a cheaper one?

plan        which architectures, trained how: budgets and jobs, plain values
store       what has been trained: one file, a line each
worker      a job done: the only module here that imports torch
pool        jobs in warm processes
statistics  rank correlations, bootstrap, noise
findings    records -> what they say, and its JSON
show, figure, page   how it looks in the terminal and as HTML
run         all of it, from the configuration to the findings
"""
