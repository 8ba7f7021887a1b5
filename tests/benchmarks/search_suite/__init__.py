"""A suite of search problems on which samplers are compared; `search_suite.command` says how to use it."""
