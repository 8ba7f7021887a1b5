"""A study: its configuration, its storage and its folder.

- `config` is the validated configuration (`config_file`: how YAML becomes its values); `continuation` checks whether one
  continues a study.
- `stored` is a study that a search writes to, `content` one that is read; `layout` names the files of its folder.
- `outcomes` are the typed values of what happens to trials, `database` reads and writes Optuna's tables.
"""
