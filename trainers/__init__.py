"""Training: a module and data in, metrics out.

    config      what the data are and how a proxy is trained: plain values, no torch
    sources     where images come from; one file a source (`timm_images` reads those with timm's names)
    listing     the images of a folder and of its classes; `decode` reads them, some broken ones left out
    prepared    images decoded once into one file, in a fixed train / validation / test split (`split`)
    data        that file as tensors on a device
    augment     augmentation of whole batches on the device; `batches` picks, augments and normalises them
    proxy       the training loop: epochs out, one after another, resumable; `averaging` of its weights, `evaluation`
    checkpoint  atomic checkpoints and weights
    throughput  images per second and latency of a module, measured against a reference; `memory` what it holds at most
    exclusive   measurements have a device to themselves
    scores      what an untrained network tells of its accuracy

Nothing is imported here, so that `trainers.config` is read without torch.
"""
