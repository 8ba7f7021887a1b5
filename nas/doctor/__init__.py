"""`nas doctor`: examines a study on disk and repairs what can be repaired without losing anything.

A check is a function in a file of `nas.doctor.checks` (`nas.doctor.registry` registers it). It reads and never writes; what it
finds may carry a repair, which `nas.doctor.run.repair_study` applies while no search runs. A repair never deletes a trial, nor
the weights of a complete one. What it takes away is moved to `DIR/removed-DATE/`; only temporary files and caches are deleted.
"""
