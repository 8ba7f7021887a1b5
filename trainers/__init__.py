"""Training: a module and data in, metrics out.

    config      what the data are and how a proxy is trained: plain values, no torch
    data        images decoded once into one file; a fixed train / validation / test split
    sources     where images come from; one file a source
    augment     augmentation of whole batches on the device
    proxy       the training loop: epochs out, one after another, resumable after any of them
    checkpoint  atomic checkpoints and weights
    throughput  images per second of a module, measured

Nothing is imported here, so that `trainers.config` is read without torch.
"""
