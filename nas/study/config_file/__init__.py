"""From the YAML of a study and its overrides to plain values, which `nas.study.config` validates.

`study_file` reads the file and knows the line and column of each value, `text_keys` which values are text, `durations` and
`sizes` their units, `space_config` the section `space` (`canonical_space`: whether two of them are equal), `config_errors` how a
rule that is broken is told in one line.
"""
