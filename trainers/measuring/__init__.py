"""What is measured of a network without training it: throughput, memory, training-free scores."""
