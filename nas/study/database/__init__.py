"""The database of a study: Optuna's tables in an SQLite file or on a PostgreSQL server.

- Opened: `storage` creates and opens the Optuna study, here or on a server (`server_storage`, `storage_url`). `optuna_storage` is
  Optuna's storage with trials in a compact form (`stored_trial`, `trial_rows`), `optuna_adapter` holds Optuna's private parts.
- Read, without writing to the folder: `reader` through `connections` (`snapshot` for files, `server` for servers), by the
  statements of `tables`; `server_copy` copies a study from a server into a file.
- Written by drivers: each step of a driver is one transaction (`trial_store` is the interface, `trial_database` the
  implementation by plain SQL, with `transactions`, `trial_writer` and `attribute_writer`). `leases` say which driver runs a trial
  and whether that driver lives (`drivers`, `driver_rows`).
- Errors in one line: `storage_errors`.
"""
