"""A trained network that answers with class names: from the package, a workdir or a file.

Dimensions: B images, H height, W width, P planes, K classes.
"""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import config as configs
from awn_jax import data, hardware, models, network, tasks, weights, widths
from awn_jax import run as runs
from awn_jax.anytime import BATCH_SIZES, LADDER, Predictor
from awn_jax.errors import UserError
from awn_jax.export import bundle, read
from awn_jax.predict import pictures

# (normalised images [B, H, W, P], width) -> outputs [B, K]
Run = Callable[[np.ndarray, widths.Width], np.ndarray]


class PredictError(UserError, ValueError):
    """A network cannot be used in the way that is asked for; the message says why."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a network says of an image.

    Attributes:
        label: name of the likeliest class, or its number where classes have no names.
        probability: of that class, as the network has it.
        width: α that the answer is of.
        macs: multiply-accumulates spent on it; None where that is not known.
        probabilities: [K].
        class_names: [K].
    """

    label: str
    probability: float
    width: float
    macs: int | None
    probabilities: Float[np.ndarray, " K"] = dataclasses.field(repr=False)
    class_names: tuple[str, ...] = dataclasses.field(repr=False)

    def top(self, count: int) -> list[tuple[str, float]]:
        """The likeliest classes with their probabilities, the likeliest first."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.class_names[k], float(self.probabilities[k])) for k in order]


class Classifier:
    """A network, and what it has to know of its images; `load` makes it.

    Args:
        facts: about its images.
        run: gives the outputs at a width.
        network: the same, for all that the library can do with it; None where there are only some widths of it.
        config: of its run; None where that is not known.

    Attributes:
        facts: image_size, classes, class_names, mean and std.
        network, config: see above.
        ladder: ascending widths that a limit climbs, from the narrowest that the network was trained for.

    Raises:
        PredictError: if its outputs are no classes.
    """

    def __init__(
        self,
        facts: runs.Facts,
        run: Run,
        network: models.AnyWidthNetwork | None = None,
        config: configs.Config | None = None,
    ):
        task: tasks.Task = tasks.Classification()
        if config:
            task = tasks.make(config.task, hierarchy=facts.hierarchy, fine_from=config.taxonomy.fine_from)
        if not isinstance(task, tasks.Classification):
            raise PredictError(f"the task of a network must be to name a class, got {task.name!r}")
        self.task, self.facts, self.network, self.config = task, facts, network, config
        minimum = config.widths.minimum if config else LADDER[0]
        self.ladder = (minimum, *(width for width in LADDER if width > minimum))
        self._run = run
        self._preparation = data.Preparation(facts.mean, facts.std)

    def predict(
        self,
        images: Any,
        width: widths.Width | None = None,
        *,
        deadline_s: float | None = None,
        confidence: float | None = None,
    ) -> Any:
        """Names the class of an image, or of each of several.

        Args:
            images: a path, a Pillow image, an array [H, W] or [H, W, P] of uint8 or, of the network's own size, of floats where
                white is 1; or several: a list of those, or an array [B, H, W, P]. They are brought to the planes and the size
                that the network takes, and normalised.
            width: α, in (0, 1]; None for full width, or for what the limits allow.
            deadline_s: seconds for all images together, see `anytime.Predictor`; compiling and reading do not count.
            confidence: in [0, 1]; an image gets a wider network until it is this sure.

        Returns:
            An `Answer`; a list of them if several images were given.

        Raises:
            PictureError: if an image cannot be read or brought to that size.
            PredictError: if the network cannot be widened, as a limit demands, or does not have the width.
            ValueError: if a width or limit is out of range, or a width is given with a limit.

        Example:
            >>> answer = load("digits").predict(np.zeros((28, 28)), width=0.5)
            >>> answer.width, len(answer.top(3))
            (0.5, 3)
        """
        limited = deadline_s is not None or confidence is not None
        if limited and width is not None:
            raise ValueError(f"width must be None with deadline_s or confidence, got {width}")
        if width is not None:
            widths.exact_width(width)
        brought = (self.config.data.crop, self.config.data.fit) if self.config else ()
        pixels, single = pictures.batch(images, self.facts.image_size, *brought)
        x = np.asarray(self._preparation.normalised(jnp.asarray(pixels)))
        if limited:
            found = self._climb(x, deadline_s, confidence)
            outputs, at, macs = found.outputs, found.width.tolist(), found.macs.tolist()
        else:
            width = 1 if width is None else width
            outputs = np.concatenate([self._run_filled(x[i : i + BATCH_SIZES[-1]], width) for i in _starts(x)])
            at, macs = [float(width)] * len(x), [self._macs(width)] * len(x)
        answers = [self._answer(*found) for found in zip(outputs, at, macs, strict=True)]
        return answers[0] if single else answers

    def truth(self, label: int, width: widths.Width = 1) -> str:
        """The right answer to an image of a class, as it is named at a width."""
        return self._asked(width).truth(np.asarray([label]), self.facts.class_names)[0]

    def _asked(self, width: widths.Width) -> tasks.Classification:
        asked = self.task.at((width,))
        assert isinstance(asked, tasks.Classification)  # as the task itself is
        return asked

    def _answer(self, outputs: Float[np.ndarray, " K"], width: float, macs: int | None) -> Answer:
        row, names = self._asked(width).choices(outputs, self.facts.class_names)
        return Answer(names[row.argmax()], float(row.max()), width, macs, row, names)

    def _run_filled(self, x: Float[np.ndarray, "B H W P"], width: widths.Width) -> Float[np.ndarray, "B K"]:
        """As one of few sizes of batches, so that few programs are compiled."""
        size = next(size for size in BATCH_SIZES if size >= len(x))
        return self._run(x[np.resize(np.arange(len(x)), size)], width)[: len(x)]

    def _climb(self, x: np.ndarray, deadline_s: float | None, confidence: float | None) -> Any:
        try:
            return self._predictor.predict(x, deadline_s=deadline_s, confidence=confidence)
        except (TypeError, network.UnknownLayerError) as error:
            raise PredictError(f"a limit needs a network that can be widened, else give a width: {error}") from error

    @functools.cached_property
    def _predictor(self) -> Predictor:
        if self.network is None:
            raise PredictError(
                "a limit needs a network that can be widened, a bundle holds single widths: give a width"
            )
        return Predictor(self.network, self.ladder, task=self.task)

    @functools.cache  # noqa: B019 -- as long as the network is there
    def _macs(self, width: widths.Width) -> int | None:
        return None if self.network is None else network.cost(self.network, self.facts.image_size, width).macs


def load(source: str | os.PathLike[str]) -> Classifier:
    """A trained network, ready to be used.

    Args:
        source: a name of `pretrained()`; the workdir of a run; or a file: weights or a bundle, as `awn_jax.export` writes them.

    Raises:
        WeightsError, ExportError, RunError, CheckpointError: if there is none, or it is damaged.
        PredictError: if its outputs are no classes.
    """
    place = weights.place(source)
    if place.is_file() and not weights.is_weights(place):
        return _bundled(place)
    found = weights.find(source)
    return Classifier(found.facts, _compiled(found.network), found.network, found.config)


def _compiled(model: models.AnyWidthNetwork) -> Run:
    graphdef, state = nnx.split(model)

    def run(state: Any, x: Array, width: widths.Width) -> Array:
        model = nnx.merge(graphdef, state, copy=True)
        model.eval()
        return model(x, width)

    program = jax.jit(run, static_argnums=2, compiler_options=hardware.compiler_options())
    return lambda x, width: np.asarray(program(state, x, width))


def _bundled(path: pathlib.Path) -> Classifier:
    graph = bundle.load(path)
    classes = jax.eval_shape(graph.run, jax.ShapeDtypeStruct((1, *graph.image_size), jnp.float32)).shape[-1]
    facts = runs.Facts(graph.image_size, classes, (), graph.mean, graph.std, "", 0)
    at = functools.cache(lambda width: read.network(path, "bundle", width))
    return Classifier(facts, lambda x, width: at(float(width))(x))


def _starts(x: np.ndarray) -> Sequence[int]:
    return range(0, len(x), BATCH_SIZES[-1])
