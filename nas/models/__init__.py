"""Models: exported, trained in full, and examined on images.

- `export` writes a trial as a model of timm, `standalone` as one file of plain PyTorch, `formats` for other runtimes.
- `retrain` trains networks in full, `validate` tests them once on the test split, `diagnose` shows what they have learned.

What these share: `loading` finds a model by the word of a user (`loaded_model` is what it gives, `study_models` and `weights` read
the trials and runs of a study, `onnx_session` other runtimes). `images` are those that models are tested on,
`front_test_accuracy` tests those of a front. `device_option` checks `--device`, `display` shows long work, `timm_names` and `hub`
are about models of timm and their downloads.
"""
