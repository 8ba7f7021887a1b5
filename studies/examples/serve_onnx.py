"""Serves an exported model with ONNX Runtime; neither torch nor timm nor mixfront is imported.

$ python serve_onnx.py FOLDER [--port 8000]
$ curl --data-binary @photo.jpg http://127.0.0.1:8000
{"class": "cat", "probability": 0.93, "probabilities": {"cat": 0.93, "dog": 0.07}}
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import uvicorn
from PIL import Image, ImageOps
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

MAX_IMAGE_BYTES = 20 << 20
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")


class Classifier:
    """An exported model.

    Args:
        folder: what `nas export --format onnx` wrote.
    """

    def __init__(self, folder: Path) -> None:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.class_names: list[str] = config["label_names"]
        preparation = config["pretrained_cfg"]
        channels, height, width = preparation["input_size"]
        self.mode, self.size = "L" if channels == 1 else "RGB", (width, height)
        self.mean, self.std = (np.array(preparation[key], np.float32)[:, None, None] for key in ("mean", "std"))
        self.session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name

    def classify(self, content: bytes) -> dict[str, float]:
        """Name of a class -> probability, for the content of a file of an image."""
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            upright = ImageOps.exif_transpose(image).convert(self.mode)
        fitted = ImageOps.fit(upright, self.size, Image.Resampling.BICUBIC)
        pixels = np.asarray(fitted, np.float32).reshape(*self.size[::-1], -1).transpose(2, 0, 1) / 255
        images = ((pixels - self.mean) / self.std)[None]
        logits = np.asarray(self.session.run(None, {self.input: images})[0])[0]
        shares = np.exp(logits - logits.max())
        return dict(zip(self.class_names, (shares / shares.sum()).tolist(), strict=True))


def create_app(folder: Path) -> Starlette:
    """The service: `POST /` with an image as its body."""
    classifier = Classifier(folder)

    async def classify(request: Request) -> JSONResponse:
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > MAX_IMAGE_BYTES:
                return JSONResponse({"error": f"an image must have at most {MAX_IMAGE_BYTES >> 20} MiB"}, 413)
        try:
            probabilities = classifier.classify(bytes(content))
        except (OSError, ValueError, Image.DecompressionBombError):
            return JSONResponse({"error": "the body must be an image"}, 415)
        best = max(probabilities, key=lambda name: probabilities[name])
        return JSONResponse({"class": best, "probability": probabilities[best], "probabilities": probabilities})

    return Starlette(routes=[Route("/", classify, methods=["POST"])])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve an exported model with ONNX Runtime.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    uvicorn.run(create_app(arguments.folder), host="127.0.0.1", port=arguments.port)
