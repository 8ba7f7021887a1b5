"""All faults. Each is one function that does its damage to a running study, registered under its name.

A fault looks for something to hit, and returns None if there is nothing now; nothing has happened then.
"""

from __future__ import annotations

import file_faults
import process_faults
from fault import DATABASES, EXECUTORS, FAULTS, Fault, Injection, exists, fault

__all__ = ["DATABASES", "EXECUTORS", "FAULTS", "MODULES", "Fault", "Injection", "exists", "fault"]

MODULES = (process_faults, file_faults)
"""The modules that register faults."""
