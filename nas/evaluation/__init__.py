"""Evaluates architectures in a worker: measures the network, trains it, and returns the outcome.

- `evaluator` takes a task and returns its outcome; `factory` makes it in its process, from the `settings` of the study.
- `networks` makes the network, `measurer` measures it, `training_plan` says how it is trained and `training_result` what came of
  that. `finished_training` notices a training that need not be repeated, `segment_clock` times all of it.
- `failures` says what is at fault for a failure; `memory_limit` and `stop_request` end a training from outside.
- Files: `trial_files` are those of a trial, wherever they are (`place`); `driver_store`, `image_cache`, `publication` and
  `work_folder` serve workers that do not see the study's folder.
"""
