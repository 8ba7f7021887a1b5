"""How trials go and end, as typed values that cross from worker to driver to storage.

- `worker_tasks`: what a driver asks a worker to do; `records`: the outcomes it may return, which consist of `outcome_parts`;
  `record_json`: both ends of the pipe, and the headers of weights.
- What is recorded of a trial besides: its `losses` of workers, from which trial it has its first weights (`inheritance`), that it
  is still `unmeasured`, and `predicted_values` that stand for measured ones.
- What is at fault for a failure: `failure_kinds`; where a worker hung or crashed: `stacks`.
"""
