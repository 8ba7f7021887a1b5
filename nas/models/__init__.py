"""Models: exported, trained in full, and examined on images.

- `export` writes a trial as a model of timm, `standalone` as one file of plain PyTorch, `formats` for other runtimes.
- `retrain` trains networks in full, `validate` tests them once on the test split, `diagnose` shows what they have learned.

What these share:

- `loading` finds a model by a word of the user, and gives a `loaded_model`; `study_models` finds those of a study, `weights`
  loads those of its trials, `onnx_session` runs ONNX files.
- `images` are what models are tested on; `front_test_accuracy` tests the models of a front.
- `timm_names` and `hub` are about timm's models and their downloads, `device_option` about `--device`; `display` shows work.
"""
