"""Training: batches, steps, validation, checkpoints.

resumable   what all trainings share: epochs that are interrupted, saved and resumed
loop        the short training by which a search ranks networks, with `config`, `optimizer`, `schedule`
recipe      full training, with `recipe_config`, `recipe_optimizer`, `recipe_schedule`, `recipe_batches`, `recipe_loss`,
            `teacher`, `feature_maps`, `image_sizes`, `data_parallel`
"""
