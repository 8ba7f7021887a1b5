"""The parts of a standalone file that are the same for every network: stages, weights, images, the command line."""

from __future__ import annotations

STAGE = '''
class Stage(nn.Module):
    """A change of map and width, then blocks, `(B, C_before, H_before, W_before) -> (B, C, H, W)`."""

    def __init__(self, *blocks: nn.Module, transition: nn.Module | None = None) -> None:
        super().__init__()
        self.transition = nn.Identity() if transition is None else transition
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(self.transition(x))
'''

CLASSIFY = '''
    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """`({shape}) -> (B, {width}, {map})`, the map before the mean."""
{check}        return {features}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`({shape}) -> (B, num_classes)`."""
        x = {pooled}
        return self.head(self.head_drop(x))
'''

CHECK_SIZE = """
        if tuple(x.shape[-2:]) != IMAGE_SIZE:
            height, width = x.shape[-2:]
            raise ValueError(f"images must have {IMAGE_SIZE[0]} x {IMAGE_SIZE[1]} pixels, found {height} x {width}")
""".removeprefix("\n")

DROP_PATH = """
        blocks = [block for stage in self.stages for block in stage.blocks]
        for index, block in enumerate(blocks):  # rates that rise linearly over the blocks
            for path in block.modules():
                if isinstance(path, {name}):
                    path.rate = drop_path_rate * index / max(len(blocks) - 1, 1)
""".removeprefix("\n")

LOAD = '''
def build({parameters}) -> Network:
    """The network with random weights, in training mode."""
    return Network({arguments})


def load(
    folder: str | Path = Path(__file__).parent,
    {indented}
) -> Network:
    """The trained network, from `model.safetensors` in `folder`, in evaluation mode.

    With another number of classes, the last layer is new and has random weights.
    """
    network = Network({arguments})
    weights = read_weights(Path(folder) / "model.safetensors")
    if num_classes != len(CLASS_NAMES):
        weights["head.weight"], weights["head.bias"] = network.head.weight, network.head.bias
    network.load_state_dict(weights)
    return network.eval()


DTYPES = {{
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}}


def read_weights(file: str | Path) -> dict[str, torch.Tensor]:
    """The tensors in a safetensors file: 8 bytes with the length of a JSON header, the header, the numbers.

    Nothing of the file is executed. Raises `ValueError` if it is damaged or of another kind.
    """
    content = bytearray(Path(file).read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    if len(content) < 8 or start > len(content):
        raise ValueError(f"{{file}}: is no safetensors file, or was cut off")
    try:
        header = json.loads(content[8:start])
        entries = {{name: entry for name, entry in header.items() if name != "__metadata__"}}
        return {{name: read_tensor(entry, memoryview(content)[start:]) for name, entry in entries.items()}}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{{file}}: is no safetensors file, or is damaged: {{error!r}}") from None


def read_tensor(entry: dict, numbers: memoryview) -> torch.Tensor:
    """The tensor that an entry of the header describes."""
    dtype, shape, (begin, end) = DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
    count = math.prod(shape)
    if min(shape, default=0) < 0 or not 0 <= begin <= end <= len(numbers) or end - begin != count * dtype.itemsize:
        raise ValueError(f"a tensor of shape {{shape}} cannot be at the bytes {{begin}} to {{end}}")
    if count == 0:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(numbers[begin:end]), dtype=dtype).view(shape)
'''

PREDICT = '''
def read_image(file: str | Path) -> torch.Tensor:
    """An image file as the network takes it, `({channels}, {height}, {width})`: its middle, resized and normalised."""
    from PIL import Image, ImageOps  # Pillow; nothing else needs it

    height, width = IMAGE_SIZE
    with Image.open(file) as image:
        upright = ImageOps.exif_transpose(image).convert("{mode}")
    fitted = ImageOps.fit(upright, (width, height), method=Image.Resampling.BICUBIC)
    pixels = torch.frombuffer(bytearray(fitted.tobytes()), dtype=torch.uint8).view(height, width, {channels})
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (MEAN, STD))
    return (pixels.permute(2, 0, 1) / 255 - mean) / std


@torch.inference_mode()
def predict(files: list[str | Path], network: Network | None = None) -> list[tuple[str, float]]:
    """The class of each image file and its probability; `network`: the one that `load` returns, unless given."""
    network = load() if network is None else network
    probabilities = network(torch.stack([read_image(file) for file in files])).softmax(dim=1)
    values, labels = probabilities.max(dim=1)
    return [(CLASS_NAMES[label], value) for label, value in zip(labels.tolist(), values.tolist())]


def main(files: list[str]) -> int:
    """Print the class of each image file; returns the exit code, 2 for what cannot be read."""
    if not files or files[0] in ("-h", "--help"):
        print("usage: python model.py IMAGE ...", file=sys.stdout if files else sys.stderr)
        return 0 if files else 2
    file = "model.safetensors"
    try:
        network = load()
        for file in files:
            ((class_name, probability),) = predict([file], network)
            print(f"{{file}}: {{class_name!r}} ({{probability:.1%}})")
    except ModuleNotFoundError as error:
        print(f"error: reading images needs Pillow (pip install pillow): {{error}}", file=sys.stderr)
        return 2
    except (OSError, ValueError, RuntimeError, SyntaxError) as error:  # the last two: other weights, a damaged PNG
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        print(f"error: {{file}}: {{reason or repr(error)}}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
'''
