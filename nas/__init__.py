"""nas: study -> front -> model. Launch searches, look at the front, export the winners."""
