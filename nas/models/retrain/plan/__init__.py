"""What is planned before a training begins.

`jobs` are the runs, `workers` the processes that train them, `measuring` says how they measure throughput.
"""
