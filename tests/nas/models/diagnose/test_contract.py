"""One contract for every diagnosis: plain numbers, repeatable, drawn for all models, and the model stays as it was."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.cli.diagnose import DIAGNOSIS_NAMES
from nas.errors import StudyError, UnknownNameError, UsageError
from nas.models.diagnose import page, tables
from nas.models.diagnose.registry import (
    DIAGNOSES,
    Advance,
    Diagnosis,
    Drawing,
    NotApplicable,
    chosen,
    register,
)
from nas.models.diagnose.run import DiagnosisRun, diagnose
from nas.models.diagnose.subject import DiagnosedModel, ImageSample
from search_space.mixers import MIXERS

NAMES = ("bands", "corruptions", "texture", "attention", "receptive_field", "filters", "channels", "curvature")
ATTENTION = {"name": "attention", "heads": 2}
MIXERS_TRIED: list[object] = ["conv", ATTENTION, "global_filter", "fno"]
APPLICABLE: dict[str, list[object]] = {"attention": [ATTENTION], "filters": ["global_filter", "fno"]}
COLOURS = {"first": "#000000", "second": "#ffffff"}


def test_all_diagnoses_are_registered_in_the_order_of_the_page() -> None:
    assert tuple(diagnosis.name for diagnosis in chosen(None)) == NAMES == DIAGNOSIS_NAMES
    assert [diagnosis.name for diagnosis in chosen(["curvature", "bands"])] == ["bands", "curvature"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mixer", MIXERS_TRIED)
def test_a_diagnosis_is_repeatable_plain_and_leaves_the_model_alone(
    name: str, mixer: object, subject_of: Callable[..., DiagnosedModel], images: ImageSample
) -> None:
    diagnosis, subject = DIAGNOSES[name], subject_of(mixer, "first")
    before = {key: tensor.clone() for key, tensor in subject.module.state_dict().items()}
    passes: list[float] = []
    if mixer not in APPLICABLE.get(name, MIXERS_TRIED):
        with pytest.raises(NotApplicable, match=r"^no (layer of attention whose|global filter and no FNO)"):
            diagnosis.measure(subject, images, passes.append)
        return
    result = diagnosis.measure(subject, images, passes.append)
    assert sum(passes) == pytest.approx(diagnosis.passes(images))
    assert json.loads(json.dumps(asdict(result), allow_nan=False))
    assert diagnosis.measure(subject, images, passes.append) == result
    assert all(value is None or isinstance(value, float) for value in diagnosis.numbers(result).values())
    other = diagnosis.measure(subject_of(mixer, "second", seed=1), images, passes.append)
    drawing = diagnosis.draw({"first": result, "second": other}, COLOURS, images)
    assert drawing.figures
    json.dumps(list(drawing.figures), allow_nan=False)
    state = subject.module.state_dict()
    assert all(torch.equal(tensor, state[key]) for key, tensor in before.items())
    assert not subject.module.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in subject.module.modules())
    assert all(parameter.grad is None for parameter in subject.module.parameters())


@pytest.mark.parametrize("mixer", sorted(MIXERS))
def test_every_mixer_has_a_curvature_and_a_receptive_field(
    mixer: str, subject_of: Callable[..., DiagnosedModel], images: ImageSample
) -> None:
    options = {"attention": {"heads": 2}, "lambda": {"heads": 2}, "shift": {"fraction": 4}}
    subject = subject_of({"name": mixer, **options.get(mixer, {})})
    few = images.first(8)
    found = diagnose([subject], few, ["curvature", "receptive_field"]).numbers("model")
    assert found["greatest eigenvalue"] is not None
    assert found["greatest eigenvalue"] > 0
    radius = found["receptive radius, px"]
    assert radius is not None
    assert 0 <= radius < 8


@dataclass(frozen=True)
class Brightness:
    mean: float


class BrightnessDiagnosis(Diagnosis[Brightness]):
    name = "brightness"
    order = 99
    title = "Brightness"
    about = "The mean of the pixels, for 3 < 4 & more."

    def passes(self, images: ImageSample) -> float:
        return 1.0

    def measure(self, subject: DiagnosedModel, images: ImageSample, advance: Advance) -> Brightness:
        if subject.name == "second":
            raise NotApplicable("no <b>light</b>")
        return Brightness(float(images.pixels.mean()))

    def numbers(self, result: Brightness) -> Mapping[str, float | None]:
        return {"brightness": result.mean}

    def draw(self, results: Mapping[str, Brightness], colours: Mapping[str, str], images: ImageSample) -> Drawing:
        return Drawing(notes=[f"{name} is {colours[name]}" for name in results])


@pytest.fixture
def brightness() -> Iterator[None]:
    register(BrightnessDiagnosis())
    yield
    del DIAGNOSES["brightness"]


@pytest.mark.usefixtures("brightness")
def test_a_diagnosis_is_one_registration(subject_of: Callable[..., DiagnosedModel], images: ImageSample) -> None:
    findings = diagnose([subject_of("pool", "first"), subject_of("pool", "second")], images, ["brightness"])
    assert findings.numbers("second") == {"brightness": None}
    assert tables.rows(findings)[-1] == ["brightness", f"{float(images.pixels.mean()):.4f}", "–"]  # noqa: RUF001
    assert tables.notes(findings) == ["brightness: not applicable to second: no <b>light</b>"]
    assert findings.to_dict()["not_applicable"] == {"brightness": {"second": "no <b>light</b>"}}
    text = page.render(findings).partition("<script>")[0]
    links = re.findall(r'<a class="[^"]*" href="#([a-z_]+)">', text)
    assert links == ["numbers", "brightness"]
    assert all(f'<section id="{link}">' in text for link in links)
    assert "for 3 &lt; 4 &amp; more" in text
    assert "first is #0072B2" in text
    assert "not applicable to second: no &lt;b&gt;light&lt;/b&gt;" in text
    with pytest.raises(ValueError, match="diagnosis 'brightness' is registered already"):
        register(BrightnessDiagnosis())


def test_unknown_and_repeated_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"--only: no such diagnosis.*curvature.*found 'curvatur'"):
        chosen(["bands", "curvatur"])
    with pytest.raises(UsageError, match="--only: must be different names of diagnoses, found 'bands,bands'"):
        chosen(["bands", "bands"])


def test_an_interrupted_run_keeps_what_was_finished(
    subject_of: Callable[..., DiagnosedModel], images: ImageSample
) -> None:
    class Interrupted(BrightnessDiagnosis):
        name = "interrupted"

        def measure(self, subject: DiagnosedModel, images: ImageSample, advance: Advance) -> Brightness:
            raise KeyboardInterrupt

    register(Interrupted())
    try:
        run = DiagnosisRun([subject_of("pool")], images, ["filters", "texture", "interrupted"])
        with pytest.raises(KeyboardInterrupt):
            run.measure()
        assert list(run.findings.results) == ["texture", "filters"]
        assert "Shape against texture" in page.render(run.findings)
    finally:
        del DIAGNOSES["interrupted"]


def test_a_model_whose_outputs_are_no_numbers_is_an_error(
    subject_of: Callable[..., DiagnosedModel], images: ImageSample
) -> None:
    subject = subject_of("pool", "broken")
    with torch.no_grad():
        subject.module.head.weight.fill_(torch.nan)  # type: ignore[union-attr, operator]
    with pytest.raises(StudyError, match="broken: its outputs are not finite numbers"):
        DiagnosisRun([subject], images)


def test_a_loss_of_zero_is_drawn(subject_of: Callable[..., DiagnosedModel], images: ImageSample) -> None:
    subject = subject_of("pool")
    with torch.no_grad():
        subject.module.head.weight.zero_()  # type: ignore[union-attr, operator]
        subject.module.head.bias.copy_(torch.tensor([1000.0, 0.0, 0.0]))  # type: ignore[union-attr, operator]
    sure = ImageSample(images.pixels, torch.zeros_like(images.labels), images.class_names)
    findings = diagnose([subject], sure, ["curvature"])
    assert findings.results["curvature"]["model"].loss == 0
    assert "Curvature of the loss" in page.render(findings)


def test_a_browser_draws_every_figure(
    tmp_path: Path, visit: Callable[..., Any], subject_of: Callable[..., DiagnosedModel], images: ImageSample
) -> None:
    hostile = "<script>alert(1)</script>"
    subjects = [subject_of({"name": "attention", "heads": 2}, hostile), subject_of("global_filter", "second")]
    file = page.write(diagnose(subjects, images.first(16)), tmp_path / "new" / "page.html")
    text = file.read_text(encoding="utf-8")
    assert "<script>alert(1)" not in text
    assert "default-src 'none'" in text
    opened = visit(file, figures=15)
    sections = opened.page.locator("section h2").all_text_contents()
    assert sections == ["Main numbers", *(DIAGNOSES[name].title for name in NAMES)]
    assert opened.page.locator("img").count() == 6
    assert opened.page.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")
    headings = opened.page.locator("table th").all_text_contents()
    assert headings == ["", hostile, "second"]
