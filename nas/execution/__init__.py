"""Executors, which run tasks: Ray Tune, processes of this machine, and a simulator.

- `base` is the interface: an executor asks a `TaskSource` for tasks, and gives them to the workers that it creates. Each executor
  is in `executors`; `simulator` is one without processes, for tests. `queue` is a source with a fixed list of tasks.
- `resources` says how many workers there are, and what each gets; `environment` and `garbage_collection` prepare a process.
- `processes`, `worker_process` and `worker_death` are about processes of this machine; `losses` says which lost tasks run again.
- `interrupts` ends a run by a signal, or by its time budget. `driver_files` serves workers that do not see the driver's folder.
"""
