"""Reading a study: trials as a table, the Pareto front, hypervolume, times, prediction quality, architectures in text."""
