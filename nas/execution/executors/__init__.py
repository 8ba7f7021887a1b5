"""The executors, one module each; a module is imported when its executor is opened."""
