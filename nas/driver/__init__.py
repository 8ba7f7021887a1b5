"""The search: proposes trials, gives them to an executor, and records their outcomes in the study.

- `run` and `search_run` go from a configuration to a complete study; `start` is what they do before the first trial.
- `ask_tell` is the interface of the search, without processes: `propose`, `admission` and `adoption` find the next trial,
  `record`, `suspects`, `trial_losses` and `measurements` say what its end means, `state` is what a driver knows of the study.
- `dispatch` connects it to an executor. `rungs` decides which paused trials go on.
"""
