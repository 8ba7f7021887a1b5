"""Evaluates architectures in a worker: measures the network, trains it, and returns the outcome."""
