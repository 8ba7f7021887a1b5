"""The executors, one file each; a file is imported when its executor is opened."""
