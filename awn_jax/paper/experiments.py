"""Which runs a table or figure needs."""

import dataclasses
from collections.abc import Sequence

from awn_jax.methods import METHODS

SINGLES = tuple(name for name in METHODS if name.startswith("single_"))
CONTENDERS = (
    "awn_fixed",
    "s_net",
    "awn_random",
    "us_net",
    "us_net_distilled",
    "us_net_tuned",
    "us_net_dropout",
    "awn",
    "awn_distilled",
    "awn_core",
    "awn_tuned",
    "awn_dropout",
)
# AWNs, and the US-Net to hold each against.
PAIRS = (
    ("awn", "us_net"),
    ("awn_core", "us_net"),
    ("awn_tuned", "us_net_tuned"),
    ("awn_dropout", "us_net_tuned"),
    ("awn_dropout", "us_net_dropout"),
)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One run of `train.py`.

    Attributes:
        dataset: the config file is `configs/lenet_<dataset>.py`.
        method: of `awn_jax.methods`.
        seed: of the run.
    """

    dataset: str
    method: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.dataset}-{self.method}-{self.seed}"


@dataclasses.dataclass(frozen=True)
class Target:
    """A table or figure.

    Attributes:
        methods: whose runs it needs.
        datasets: on which, if none are named.
        title: what it shows.
    """

    methods: tuple[str, ...]
    datasets: tuple[str, ...]
    title: str


TARGETS = {
    "table1": Target(
        ("shared_bn", "s_net", "awn_fixed"), ("mnist",), "Table 1: batch norms, at the four trained widths"
    ),
    "table2": Target(CONTENDERS, ("fmnist",), "Table 2: area under the width-accuracy curve"),
    "fig2": Target(("shared_bn", "s_net", "awn_fixed"), ("mnist",), "Figure 2: batch statistics while training"),
    "fig4": Target(
        ("awn_full", "awn_2", "awn_fixed", "awn_8", "awn"), ("fmnist",), "Figure 4: area against widths trained"
    ),
    "fig5": Target(CONTENDERS, ("fmnist",), "Figure 5: accuracy against width"),
    "fig6": Target(("awn_full", "ordinary_full"), ("cifar10",), "Figure 6: trained at full width only"),
    "macs": Target(
        ("awn_dropout", "awn_tuned", "awn_core", "awn", "us_net", "us_net_tuned", "us_net_dropout", "s_net", *SINGLES),
        ("fmnist",),
        "Accuracy against multiply-accumulates",
    ),
    "gaps": Target(
        tuple(dict.fromkeys(method for pair in PAIRS for method in pair)),
        ("fmnist",),
        "AWN against US-Net at equal width, operations, parameters",
    ),
    "ablation": Target(
        (
            "awn",
            "awn_ends",
            "awn_distilled",
            "awn_visible",
            "awn_core",
            "awn_adamw",
            "awn_mirrored",
            "awn_tuned",
            "awn_dropout",
        ),
        ("fmnist",),
        "Ablation of the recipe",
    ),
}


def needed(
    targets: Sequence[str], datasets: Sequence[str] | None, methods: Sequence[str] | None, seeds: Sequence[int]
) -> list[Experiment]:
    """The runs of several targets, each once, seed by seed; on these data sets and of these methods only, if given."""
    wanted = {
        Experiment(dataset, method, seed): None
        for seed in seeds
        for target in targets
        for dataset in datasets or TARGETS[target].datasets
        for method in TARGETS[target].methods
        if methods is None or method in methods
    }
    return list(wanted)
