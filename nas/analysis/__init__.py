"""What a study tells: trials as a table, the front, hypervolume, times, how well predictions held.."""
