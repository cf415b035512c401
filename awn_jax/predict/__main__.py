"""Names the class of images.

    python -m awn_jax.predict cat.jpg dog.png --weights=runs/mine --width=0.5
    python -m awn_jax.predict cat.jpg --weights=runs/mine --confidence=0.9      # wider until it is this sure
    python -m awn_jax.predict --test-images=8 --weights=digits --width=0.25,0.5,0.75,1

Images may have any size, be grey, coloured or transparent; they are brought to what the network takes: resized to cover it, the
rest cut off on both sides.
"""

import argparse
import json
from collections.abc import Sequence
from typing import Any

from awn_jax import arguments as types
from awn_jax import build, data, hardware, weights
from awn_jax.predict.classifier import Answer, Classifier, PredictError, load

# Classes that a line shows.
TOP = 3


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m awn_jax.predict", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="a file")
    parser.add_argument(
        "--weights",
        required=True,
        metavar="WHAT",
        help=f"one of {', '.join(weights.pretrained())}; the workdir of a run; a file of weights or a bundle",
    )
    parser.add_argument("--width", type=_widths, metavar="W", help="as 0.5, 1/3, or several: 0.25,0.5,1 (default: 1)")
    parser.add_argument(
        "--deadline-ms", type=types.positive(float), metavar="MS", help="for all images together, once they are read"
    )
    parser.add_argument("--confidence", type=_share, metavar="P", help="wider until the likeliest class has this much")
    parser.add_argument("--test-images", type=types.positive(int), metavar="N", help="of the network's own, not files")
    parser.add_argument("--data-dir", metavar="DIR", help="where TFDS keeps its sets, for --test-images")
    parser.add_argument("--json", action="store_true", help="print JSON: a list with an object for each answer")
    parsed = parser.parse_args(argv)
    limits = [flag for flag in ("deadline_ms", "confidence") if getattr(parsed, flag) is not None]
    if parsed.width and limits:
        parser.error(f"--width cannot be given with --{limits[0].replace('_', '-')}, which chooses the width")
    if bool(parsed.images) == bool(parsed.test_images):
        got = "both" if parsed.images else "neither"
        parser.error(f"either images or --test-images must be given, got {got}")
    return parsed


def _widths(text: str) -> list[float]:
    return [types.width(part) for part in text.split(",")]


def _share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"must be in [0, 1], got {text}")
    return number


def main(argv: Sequence[str] | None = None) -> None:
    parsed = parse_arguments(argv)
    hardware.start()
    trained = load(parsed.weights)
    names, images, targets = _images(trained, parsed)
    if parsed.width:
        by_width = [trained.predict(images, width) for width in parsed.width]
    else:
        deadline = None if parsed.deadline_ms is None else parsed.deadline_ms / 1000
        by_width = [trained.predict(images, deadline_s=deadline, confidence=parsed.confidence)]
    # What is right may be named otherwise at another width.
    truths = [
        [trained.truth(label, answer.width) for label, answer in zip(targets, answers, strict=False)]
        for answers in by_width
    ]
    if parsed.json:
        entries = [_entries(names, truth, answers) for truth, answers in zip(truths, by_width, strict=True)]
        print(json.dumps([entry for of_width in entries for entry in of_width], indent=2))
    else:
        print(table(names, truths, by_width))


def _images(trained: Classifier, parsed: argparse.Namespace) -> tuple[list[str], Any, list[int]]:
    """Names of the images, the images, and their true classes where those are known."""
    if parsed.images:
        return parsed.images, parsed.images, []
    if trained.config is None:
        raise PredictError(f"--test-images needs weights that say what they were trained on, {parsed.weights} does not")
    every = build.images(trained.config, "test", parsed.data_dir, trained.facts.image_size)
    found = data.in_memory(every).take(parsed.test_images)
    numbers = [f"test image {number}" for number in range(len(found))]
    return numbers, found.images, found.labels.tolist()


def _entries(names: Sequence[str], truth: Sequence[str], answers: Sequence[Answer]) -> list[dict[str, Any]]:
    entries = []
    for number, (name, answer) in enumerate(zip(names, answers, strict=True)):
        entry = {"image": name, **({"truth": truth[number]} if truth else {})}
        top = [{"class": label, "probability": share} for label, share in answer.top(TOP)]
        entries.append(entry | {"class": answer.label, "probability": answer.probability, "top": top})
        entries[-1] |= {"width": answer.width, "macs": answer.macs}
    return entries


def table(names: Sequence[str], truths: Sequence[Sequence[str]], by_width: Sequence[Sequence[Answer]]) -> str:
    """A line for each image: its answers at several widths side by side, or one answer with what else it may be.

    Args:
        names: of the images.
        truths: for each width, the right answer to every image, or none.
        by_width: for each width, the answer to every image.
    """
    several, truth = len(by_width) > 1, truths[-1]
    heads = ["image", *(["truth"] if truth else [])]
    if several:
        heads += [f"at {answers[0].width:g}" for answers in by_width]
    else:
        heads += ["class", "%", "width", "MACs", "else"]
    rows = []
    for number, name in enumerate(names):
        row = [name, *([truth[number]] if truth else [])]
        if several:
            row += [f"{answers[number].label} {100 * answers[number].probability:.1f} %" for answers in by_width]
        else:
            answer = by_width[0][number]
            others = ", ".join(f"{label} {100 * share:.1f}" for label, share in answer.top(TOP)[1:])
            macs = "" if answer.macs is None else f"{answer.macs:,}"
            row += [answer.label, f"{100 * answer.probability:.1f}", f"{answer.width:g}", macs, others]
        rows.append(row)
    if several and truth:
        right = [
            sum(answer.label == label for answer, label in zip(answers, own, strict=True))
            for answers, own in zip(by_width, truths, strict=True)
        ]
        rows.append(["right", "", *(f"{count} of {len(truth)}" for count in right)])
    sizes = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(size) for cell, size in zip(row, sizes, strict=True)).rstrip() for row in (heads, *rows)
    )


if __name__ == "__main__":
    with hardware.one_line_errors():
        main()
