"""What a worker does with an architecture: measure the network, train it, and say what came of it."""
