"""The images of timm's data sets, decoded like all others: files, members of archives, rows of tables, streams.

The only file that uses private parts of timm and of the packages it reads with (tests/trainers/data/test_sources_timm.py):

- `samples`, `root`, `tar_state` and `class_to_idx` of timm's readers: timm has no public way to get an encoded image with
  its name, to close an archive, or to get the class names.
- `HF_HUB_OFFLINE` of `datasets` and `huggingface_hub`: the environment variable of that name is read at import only.
- the log of timm's WebDataset reader: nothing else says which images it left out.
"""

from __future__ import annotations

import importlib
import logging
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from PIL import Image

from trainers.data.class_order import natural_key, sort_classes
from trainers.data.decode import DecodedParts, decode_all
from trainers.data.image_file import only_these_formats
from trainers.data.passed_over import PassedOverCounter
from trainers.data.pixels import EncodedImage
from trainers.data.types import Part, PassedOver, ReadContext, SourceRequest
from trainers.disk import error_kind
from trainers.errors import DataError, skippable

FOLDERS = ("timm", "torch/image_folder", "torch/folder")
"""Sources that read a folder with a folder for each class."""


def read_splits(
    request: SourceRequest,
    splits: Mapping[Part, str],
    context: ReadContext,
    check_names: Callable[[Sequence[str]], None],
) -> tuple[tuple[str, ...], DecodedParts, tuple[PassedOver, ...]]:
    """Class names (none if the data have none), the images of each of `splits`, and what timm passes over in folders.

    Args:
        request: what is asked for.
        splits: timm's name of each split.
        context: where decoded images are kept, and the progress.
        check_names: called with the names of all images before any is decoded, if they are files or members of an archive.

    Raises:
        DataError: timm cannot open a split, the splits do not have the same classes, or an image is broken.
    """
    with ExitStack() as stack:
        stack.enter_context(
            only_these_formats()
        )  # torchvision, `datasets` and `webdataset` decode some images themselves
        if request.source.startswith(("hfds/", "hfids/")):
            stack.enter_context(_quiet_hub(online=request.download))
        dropped = stack.enter_context(_dropped_by_timm())
        datasets = {part: _open(request, split) for part, split in splits.items()}
        class_map = _class_map(datasets["train"]) if request.source == "timm" else None
        if class_map is not None:
            _close(datasets)
            datasets = {part: _open(request, split, class_map) for part, split in splits.items()}
        stack.callback(_close, datasets)
        class_names = _shared_classes(datasets, splits)
        names = [name for dataset in datasets.values() for name in _image_names(request, dataset)]
        if names:
            check_names(names)
        images = (image for part, dataset in datasets.items() for image in _images(request, part, dataset, dropped))
        total = sum(len(dataset) for dataset in datasets.values())
        decoded = decode_all(images, total, request.image_size, context, skip=request.on_error == "skip")
        passed_over = _count_unlisted(request, datasets)
    return class_names, replace(decoded, skipped=(*dropped, *decoded.skipped)), passed_over


def _count_unlisted(request: SourceRequest, datasets: Mapping[Part, Any]) -> tuple[PassedOver, ...]:
    """The files beside the images of each data set that is a folder; timm says nothing about them."""
    counter = PassedOverCounter(str(request.path))
    if request.source in FOLDERS and request.path is not None and request.path.is_dir():
        for part, dataset in datasets.items():
            listed = {path for path, _ in _image_files(dataset)}
            counter.add_unlisted(part, str(_reader(dataset).root), listed, "which timm does not list")
    return counter.records()


def _class_map(dataset: Any) -> dict[str, int] | None:
    """The labels of classes whose names timm takes for equal, such as `cat` and `Cat`; None: it has none of them.

    timm orders such names differently in each process.
    """
    names = _class_names(dataset)
    if len({str(natural_key(name)) for name in names}) == len(names):
        return None
    return {name: index for index, name in enumerate(sort_classes(names))}


def _open(request: SourceRequest, split: str, class_map: Mapping[str, int] | None = None) -> Any:
    """Timm's data set of one split.

    Raises:
        DataError: timm cannot open it; has timm's message.
    """
    from timm.data import create_dataset

    options: dict[str, Any] = {"input_key": request.input_key, "target_key": request.target_key}
    options |= {"class_map": class_map}
    options = {key: value for key, value in options.items() if value is not None}
    if request.path is not None and request.path.is_file():
        options["cache_tarinfo"] = False  # otherwise timm reads a pickled index beside a large archive
    mode = "RGB" if request.source.startswith("tfds/") else ""  # others keep the mode that an image has
    root = None if request.path is None else str(request.path)
    name = "" if request.source == "timm" else request.source
    try:
        return create_dataset(name, root=root, split=split, download=request.download, input_img_mode=mode, **options)
    except Exception as error:  # each package has its own exceptions
        reason = " ".join(str(error).split()) or type(error).__name__
        hint = "" if request.download else "; `download: true` fetches what timm can fetch"
        raise DataError("source", f"{request.source}: timm cannot open the split {split!r} ({reason}){hint}") from error


def _images(request: SourceRequest, part: Part, dataset: Any, dropped: list[str]) -> Iterator[EncodedImage]:
    """The images of `dataset`, in its order."""
    from timm.data import IterableImageDataset

    place = f"{request.source} {part}"
    files = _image_files(dataset)
    if isinstance(dataset, IterableImageDataset):
        yield from _stream_images(place, part, dataset, dropped, skip=request.on_error == "skip")
    elif files:
        for path, label in files:
            yield EncodedImage(path, part, _label(label, path), partial(str, path))
    else:
        # A reader gives encoded images. They are read one after another, because not every reader is safe in threads.
        content = _reader(dataset)
        for index in range(len(content)):
            name = str(content.filename(index)) if request.source == "timm" else f"{place} image {index}"
            yield _fetch_image(name, part, partial(content.__getitem__, index))


def _image_files(dataset: Any) -> Sequence[tuple[str, int]]:
    """The path and the class of each image if all images are files; otherwise empty."""
    samples: Sequence[tuple[str, int]] = getattr(_reader(dataset), "samples", ())
    return samples if len(samples) and isinstance(samples[0][0], str) else ()


def _image_names(request: SourceRequest, dataset: Any) -> Iterator[str]:
    """The names of the images of `dataset` that are files or members of an archive; others have none."""
    files = _image_files(dataset)
    yield from (path for path, _ in files)
    if not files and request.source == "timm":
        reader = _reader(dataset)
        yield from (str(reader.filename(index)) for index in range(len(reader)))


def _reader(dataset: Any) -> Any:
    """The timm reader of `dataset`; `dataset` itself if it is torchvision's."""
    return getattr(dataset, "reader", dataset)


def _close(datasets: Mapping[Part, Any]) -> None:
    """Close an archive, which timm leaves open."""
    for dataset in datasets.values():
        archive = getattr(getattr(_reader(dataset), "tar_state", None), "tf", None)
        if archive is not None:
            archive.close()


def _fetch_image(name: str, part: Part, fetch: Callable[[], tuple[Any, Any]]) -> EncodedImage:
    """The image that `fetch` returns; an error of `fetch` is raised again when the image is opened."""
    try:
        content, label = fetch()
        if not isinstance(content, Image.Image):
            with content:
                encoded = content.read()
            return EncodedImage(name, part, _label(label, name), lambda: encoded)
    except DataError:
        raise
    except Exception as error:
        return EncodedImage(name, part, 0, partial(_raise, error))
    return EncodedImage(name, part, _label(label, name), lambda: content)


def _raise(error: Exception) -> Image.Image:
    raise error


def _stream_images(place: str, part: Part, dataset: Any, dropped: list[str], *, skip: bool) -> Iterator[EncodedImage]:
    """The images of a stream; those that timm itself leaves out appear in `dropped`.

    Raises:
        DataError: the stream breaks, or timm left an image out (unless `skip`).
    """
    stream = iter(dataset)
    for count in range(1 << 62):
        try:
            image, label = next(stream, (None, None))
        except Exception as error:
            raise error_kind(error)(
                place, f"cannot be read after {count} images ({error or type(error).__name__})"
            ) from error
        if dropped and not skip:
            raise skippable(DataError(place, f"holds an image that cannot be read: {dropped[0]}"))
        if image is None:
            return
        name = f"{place} image {count}"
        yield EncodedImage(name, part, _label(label, name), partial(_identity, image))


def _identity(image: Image.Image) -> Image.Image:
    return image


def _label(label: object, name: str) -> int:
    try:
        return operator.index(label)  # type: ignore[arg-type]
    except TypeError:
        raise DataError(name, "must have the number of one class as its label", label) from None


def _shared_classes(datasets: Mapping[Part, Any], splits: Mapping[Part, str]) -> tuple[str, ...]:
    """The class names that all splits share; empty if the data have none.

    Raises:
        DataError: two splits differ in them, or have the same images: timm reads the whole folder where one is missing.
    """
    names = {part: _class_names(dataset) for part, dataset in datasets.items()}
    for part, split in splits.items():
        if names[part] != names["train"]:
            raise DataError(
                "splits", f"must have the same classes; those of {split!r} differ from those of {splits['train']!r}"
            )
        if part == "train":
            continue
        files = _image_files(datasets[part])
        if files and files == _image_files(datasets["train"]):
            raise DataError("splits", f"must differ; {split!r} has the same images as {splits['train']!r}")
    return names["train"]


def _class_names(dataset: Any) -> tuple[str, ...]:
    names = getattr(dataset, "classes", None)
    if names is None:
        reader = _reader(dataset)
        indices: Mapping[str, int] = getattr(reader, "class_to_idx", getattr(reader, "class_name_to_idx", {}))
        names = sorted(indices, key=indices.__getitem__)
    return tuple(name if isinstance(name, str) else ", ".join(name) for name in names)


@contextmanager
def _quiet_hub(*, online: bool) -> Iterator[None]:
    """Within the block Hugging Face's packages show no progress bars and, unless `online`, do not use the network."""
    config: Any = importlib.import_module("datasets.config")
    constants: Any = importlib.import_module("huggingface_hub.constants")
    importlib.import_module("datasets").disable_progress_bars()
    before = config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    if not online:
        config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before


@contextmanager
def _dropped_by_timm() -> Iterator[list[str]]:
    """Collects what timm's WebDataset reader logs about broken images, which it leaves out without any other sign."""
    dropped: list[str] = []

    def collect(record: logging.LogRecord) -> None:
        message = " ".join(record.getMessage().split())
        if "webdataset error" in message:  # other messages are not about an image
            dropped.append(message)

    handler = logging.Handler()
    handler.emit = collect  # type: ignore[method-assign]
    logger = logging.getLogger("timm.data.readers.reader_wds")
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield dropped
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
