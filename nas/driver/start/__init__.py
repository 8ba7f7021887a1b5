"""What a search does before its first trial, and what it leaves clean.

`home` finds the study, `start_checks` checks what can be checked before anything is written, `reading` decodes the images while
the executor starts, `opening` creates or opens the study, `warm_start` adds what an earlier study knows, `operator_timing` times
operators, `measuring_workers` checks that a worker can measure, `retry` enqueues failed trials again. `left_files` and
`driver_folders` remove what earlier drivers have left.
"""
