"""What a worker does with a run. `worker` is the place to begin.

- `factory` makes the worker in its process; `networks` makes the network and its teacher; `run_files` are the files of its runs,
  also where it does not see the driver's folder; `progress` says how far a run is.
- `loading` builds the trained network again from the weights that a worker has written.
- `timing` times a few steps, for a forecast.
"""
