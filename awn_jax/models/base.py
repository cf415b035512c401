"""What an any-width network is: features that keep the prefix property, and a head that adds them up.

Dimensions: B batch, H height, W width, P planes, h and w pixels and C channels of the features, N widths.
"""

import abc
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from awn_jax import widths
from awn_jax.layers.dropout import dropout
from awn_jax.layers.head import check_ascending
from awn_jax.models.options import Options
from awn_jax.network import PrefixReport, check_prefix, read

# A width at which every axis has its first channels alone.
NARROW = 0.001


class AnyWidthNetwork(nnx.Module):
    """A network that runs at any width, and at many in one pass.

    A subclass sets `head`, its last layer, and writes `features`: everything before it. One with early exits sets `early` as
    well, and writes `staged`.

    Attributes:
        head: the last layer; it gives outputs at one width when called, and at many by `at_widths`.
        early: such layers of early exits, from the first one on.
        dropout: while training, share of the features that the head misses at full width; at width α, α times as large a
            share, because narrow networks overfit less.
        prefix_checked: the features hold code that is none of the library's ops, and have been found to keep the prefix
            property all the same; see `trust`.
    """

    head: Any
    early: Any = ()
    dropout: float = 0.0
    prefix_checked: bool = False
    Options: ClassVar[type[Options]] = Options

    @abc.abstractmethod
    def features(self, x: Float[Array, "B H W P"], width: widths.AnyWidth = 1) -> Float[Array, "B ... C"]:
        """The features in front of the head, with the channels that are active at `width`."""

    def __call__(
        self, x: Float[Array, "B H W P"], width: widths.AnyWidth = 1, key: PRNGKeyArray | None = None
    ) -> Float[Array, "B ..."]:
        """The outputs at one width: only that width's weights are used, and compiled.

        Args:
            x: images.
            width: α, in (0, 1]; static.
            key: of the dropout; None for none.

        Raises:
            ValueError: if `width` is outside (0, 1] or the images have another size than the network was made for.
        """
        return self._answer(self.head, self.features(x, width), width, key)

    def staged(self, x: Float[Array, "B H W P"], width: widths.AnyWidth = 1) -> Iterator[Float[Array, "B ... _"]]:
        """The features in front of the head of each exit, computed as they are asked for; the last are `features`."""
        yield self.features(x, width)

    def ends(
        self, x: Float[Array, "B H W P"], width: widths.AnyWidth = 1, key: PRNGKeyArray | None = None
    ) -> list[Float[Array, "B ..."]]:
        """The outputs of every exit at one width, the network's own last; arguments are those of a call."""
        if not self.early:
            return [self(x, width, key)]
        heads = [*self.early, self.head]
        return [self._answer(head, f, width, key) for head, f in zip(heads, self.staged(x, width), strict=True)]

    def ends_at(
        self,
        x: Float[Array, "B H W P"],
        at: Sequence[widths.Width],
        key: PRNGKeyArray | None = None,
        drawn: Sequence[widths.Drawn] = (),
    ) -> list[Float[Array, "N B ..."]]:
        """The outputs of every exit at N widths from one pass, the network's own last; see `outputs_at`.

        Raises:
            ValueError: also if there are early exits and narrow networks are not prefixes of the wide one.
        """
        if not self.early:
            return [self.outputs_at(x, at, key, drawn)]
        check_ascending(at)
        if obstacle := self.obstacle(x.shape[1:]):
            raise ValueError(
                f"one pass for all widths needs narrow networks that are prefixes of the wide one: {obstacle}"
            )
        heads = [*self.early, self.head]
        found = zip(heads, self.staged(x, at[-1]), strict=True)
        return [self._answers(head, features, at, key, drawn) for head, features in found]

    def outputs_at(
        self,
        x: Float[Array, "B H W P"],
        at: Sequence[widths.Width],
        key: PRNGKeyArray | None = None,
        drawn: Sequence[widths.Drawn] = (),
    ) -> Float[Array, "N B ..."]:
        """The outputs at N widths: in one pass at the widest of them, or, where the narrow networks are not prefixes of the
        wide one, in one pass for each.

        Args:
            x: images.
            at: ascending widths, static. With `drawn`, the last must be 1.
            key: of the dropout; None for none.
            drawn: further widths, which are data.

        Returns:
            Those at `at`, then those at `drawn`.

        Raises:
            ValueError: if `at` is empty or not ascending, or as for a call.
        """
        check_ascending(at)
        if not self.nests(x.shape[1:]):
            return jnp.stack([self(x, width, key) for width in (*at, *drawn)])
        return self._answers(self.head, self.features(x, at[-1]), at, key, drawn)

    def nests(self, image_size: Sequence[int]) -> bool:
        """Whether a narrow network is known to be a prefix of the wide one."""
        return not self.obstacle(image_size)

    def obstacle(self, image_size: Sequence[int]) -> str:
        """What keeps `nests` from being true, in words; nothing if it is true."""
        if self.prefix_checked:
            return ""
        wide = read(self, image_size)
        if wide.keeps_prefix and read(self, image_size, NARROW).plan() != wide.plan():
            return f"{type(self).__name__} does something else at another width"
        return wide.obstacle

    def trust(self, sample: Float[Array, "B H W P"]) -> PrefixReport | None:
        """Tries whether code that is none of the library's ops keeps the prefix property, and sets `prefix_checked` if so.

        It is tried in training and in inference.

        Args:
            sample: a batch of real images.

        Returns:
            What was found; None if nothing had to be tried, because all ops say what they do, or nothing helps, because one
            of them says that it does not keep it.
        """
        network = read(self, sample.shape[1:])
        own = dataclasses.replace(network, nodes=tuple(node for node in network.nodes if node.op is not None))
        if not network.foreign or not own.keeps_prefix:
            return None
        report = None
        for mode in ("train", "eval"):
            view = nnx.clone(self)
            getattr(view, mode)()
            report = check_prefix(view, sample)
            if not report:
                return report
        self.prefix_checked = True
        return report

    def _answers(
        self,
        head: Any,
        features: Array,
        at: Sequence[widths.Width],
        key: PRNGKeyArray | None,
        drawn: Sequence[widths.Drawn],
    ) -> Array:
        """What a head gives at many widths."""
        if key is None or not self.dropout:
            outputs = head.at_widths(features, at)
        else:
            # Every width misses features of its own: a product for each, small beside the convolutions.
            active = [head.inputs.active(width) for width in at]
            outputs = jnp.stack(
                [self._answer(head, features[..., :k], w, key) for k, w in zip(active, at, strict=True)]
            )
        more = [self._answer(head, features, width, key)[None] for width in drawn]
        return jnp.concatenate([outputs, *more])

    def _answer(self, head: Any, features: Array, width: widths.AnyWidth, key: PRNGKeyArray | None) -> Array:
        if key is not None and self.dropout:
            alpha = width.alpha if isinstance(width, widths.Drawn) else float(width)
            features = dropout(key, features, self.dropout * alpha, head.inputs.channels)
        return head(features, width)


class AnyWidthClassifier(AnyWidthNetwork):
    """An any-width network whose outputs are the logits of classes."""

    def logits_at(
        self, x: Float[Array, "B H W P"], at: Sequence[widths.Width], key: PRNGKeyArray | None = None
    ) -> Float[Array, "N B classes"]:
        """The logits at N ascending widths, see `outputs_at`."""
        return self.outputs_at(x, at, key)
