import pickle

import pytest

from trainers.errors import DataError, RecipeError, TrainerError, TrainingError, unknown_source


def test_data_error_names_place_rule_and_value() -> None:
    error = DataError("pets/cat", "must hold images", 0)
    assert str(error) == "pets/cat: must hold images, found 0"
    assert (error.place, error.rule, error.value) == ("pets/cat", "must hold images", 0)
    assert isinstance(error, TrainerError)
    assert isinstance(error, ValueError)


def test_training_error_names_epoch_and_step() -> None:
    error = TrainingError(3, 17, "the loss is not finite, found nan")
    assert str(error) == "epoch 3, step 17: the loss is not finite, found nan"


@pytest.mark.parametrize(
    "error", [DataError("a", "b", 1), DataError("a", "b"), RecipeError("a", "b", 1), TrainingError(1, 2, "c")]
)
def test_errors_cross_processes(error: TrainerError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_unknown_source_lists_known_names_and_the_closest() -> None:
    text = str(unknown_source("cifr10", ["digits", "cifar10"]))
    assert text == "source: no such data source (known: cifar10, digits), found 'cifr10'; did you mean cifar10?"


def test_recipe_error_names_place_rule_and_value() -> None:
    error = RecipeError("optimizer", "must be one of timm's", "lmab")
    assert str(error) == "optimizer: must be one of timm's, found 'lmab'"
    assert str(RecipeError("teacher", "must take images")) == "teacher: must take images"
    assert isinstance(error, TrainerError)
    assert isinstance(error, ValueError)
