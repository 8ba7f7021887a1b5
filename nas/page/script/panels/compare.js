// Panel "Compare".
