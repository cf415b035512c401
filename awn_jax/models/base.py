"""What an any-width classifier is: features that keep the prefix property, and a head that adds them up."""

import abc
from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from awn_jax import widths
from awn_jax.layers import AnyWidthHead, dropout
from awn_jax.layers.head import check_ascending


class AnyWidthClassifier(nnx.Module):
    """A classifier that runs at any width, and at many in one pass.

    A subclass sets `head`, its last layer, and writes `features`: everything before it. `awn_jax.check_prefix` tells
    whether those features keep the prefix property, on which `logits_at` rests.

    Attributes:
        head: the last layer.
        dropout: while training, share of the features that the head misses at full width; at width α, α times as large a
            share, because narrow networks overfit less.
    """

    head: AnyWidthHead
    dropout: float = 0.0

    @property
    def keeps_prefix(self) -> bool:
        """Whether, by what its layers say of themselves, a narrow network is a prefix of the wide one."""
        layers = (module for _, module in nnx.iter_modules(self) if module is not self)
        return all(getattr(layer, "keeps_prefix", True) for layer in layers)

    @abc.abstractmethod
    def features(self, x: Float[Array, "B H W P"], width: widths.Width = 1) -> Float[Array, "B h w C"]:
        """The features in front of the head, with the channels that are active at `width`."""

    def __call__(
        self, x: Float[Array, "B H W P"], width: widths.Width = 1, key: PRNGKeyArray | None = None
    ) -> Float[Array, "B classes"]:
        """The logits at one width: only that width's weights are used, and compiled.

        Args:
            x: images.
            width: α, in (0, 1]; static.
            key: of the dropout; None for none.

        Raises:
            ValueError: if `width` is outside (0, 1] or the images have another size than the network was made for.
        """
        return self.head(self._thinned(self.features(x, width), width, key), width)

    def logits_at(
        self, x: Float[Array, "B H W P"], at: Sequence[widths.Width], key: PRNGKeyArray | None = None
    ) -> Float[Array, "N B classes"]:
        """The logits at N ascending widths: in one pass at the widest of them, or, where the narrow networks are not prefixes
        of the wide one, in one pass for each.

        Args:
            x: images.
            at: widths; static.
            key: of the dropout; None for none.

        Raises:
            ValueError: if `at` is empty or not ascending, or as for a call.
        """
        check_ascending(at)
        if not self.keeps_prefix:
            return jnp.stack([self(x, width, key) for width in at])
        features = self.features(x, at[-1])
        if key is None or not self.dropout:
            return self.head.at_widths(features, at)
        # Every width misses features of its own: a product for each, small beside the convolutions.
        active = [self.head.inputs.active(width) for width in at]
        seen = [self._thinned(features[..., :k], width, key) for k, width in zip(active, at, strict=True)]
        return jnp.stack([self.head(x, width) for x, width in zip(seen, at, strict=True)])

    def _thinned(
        self, features: Float[Array, "B h w C"], width: widths.Width, key: PRNGKeyArray | None
    ) -> Float[Array, "B h w C"]:
        if key is None or not self.dropout:
            return features
        return dropout(key, features, self.dropout * float(width), self.head.inputs.channels)


def axes(model: nnx.Module) -> tuple[widths.Axis, ...]:
    """All axes that the layers of a model name, each once."""
    found: dict[widths.Axis, None] = {}
    for _, module in nnx.iter_modules(model):
        for value in vars(module).values():
            if isinstance(value, widths.Axis):
                found[value] = None
    return tuple(found)


def distinct_widths(model: nnx.Module, minimum: widths.Width = 0.25) -> tuple[float, ...]:
    """One width for each distinct sub-network of a model in [minimum, 1], see `widths.distinct_widths`."""
    return widths.distinct_widths(axes(model), minimum)
