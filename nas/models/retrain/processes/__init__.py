"""The processes that train the runs of a command: workers of an executor, or those that torchrun has started.

`with_executor` gives each run to a worker. `with_torchrun` trains each run in all processes (`torchrun_team`) together.
`run_counter` shows how far the runs are, `time_left` estimates how long they take.
"""
