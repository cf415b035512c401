"""Which training runs the tables and figures need."""

import dataclasses
import pathlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from awn_jax.config import METHODS

# The network of the paper's tables and figures but for half of Table 2; files and tables are not named after it.
PAPERS_MODEL = "lenet"


class Setting(NamedTuple):
    """A network and a data set.

    Attributes:
        model, dataset: the config file is `<model>_<dataset>.py`.
    """

    model: str
    dataset: str

    @property
    def name(self) -> str:
        """How files and tables are called."""
        return self.dataset if self.model == PAPERS_MODEL else f"{self.model}_{self.dataset}"

    @property
    def config(self) -> str:
        """The name of the config file."""
        return f"{self.model}_{self.dataset}.py"


@dataclasses.dataclass(frozen=True)
class Trial:
    """One training run.

    Attributes:
        setting: what is trained on what.
        method: of `config.METHODS`.
        seed: of the run.
    """

    setting: Setting
    method: str
    seed: int

    @property
    def name(self) -> str:
        """How its workdir and its record are called."""
        return f"{self.setting.name}-{self.method}-{self.seed}"


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
RIVALS = (
    ("awn", "us_net"),
    ("awn_core", "us_net"),
    ("awn_tuned", "us_net_tuned"),
    ("awn_dropout", "us_net_tuned"),
    ("awn_dropout", "us_net_dropout"),
)
# Networks for the usual range of widths, and the same for a wider one.
WIDENED = (("awn", "awn_wide"), ("us_net", "us_net_wide"))


@dataclasses.dataclass(frozen=True)
class Target:
    """A table or figure.

    Attributes:
        methods: whose runs it needs.
        datasets: on which, if none are named.
        title: what it shows.
        pairs: methods that are held against each other; one without its partner is not shown.
    """

    methods: tuple[str, ...]
    datasets: tuple[str, ...]
    title: str
    pairs: tuple[tuple[str, str], ...] = ()

    def shown(self, there: Iterable[str]) -> list[str]:
        """The methods that it shows, of those that there are."""
        found = set(there)
        if self.pairs:
            found = {method for pair in self.pairs if found.issuperset(pair) for method in pair}
        return [method for method in self.methods if method in found]


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
        tuple(dict.fromkeys(method for pair in RIVALS for method in pair)),
        ("fmnist",),
        "AWN against US-Net at equal width, operations, parameters",
        RIVALS,
    ),
    "wide_range": Target(
        tuple(method for pair in WIDENED for method in pair),
        ("fmnist",),
        "What the usual widths lose when narrower ones are trained as well",
        WIDENED,
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


def settings(
    target: str, models: Sequence[str], datasets: Sequence[str] | None, configs: pathlib.Path
) -> list[Setting]:
    """Where a target is made: every network on every data set; its own data sets if none are named.

    A pair that has no config file is left out, if its network and its data set each have one with another.
    """
    every = [Setting(model, dataset) for model in models for dataset in datasets or TARGETS[target].datasets]
    there = [setting for setting in every if (configs / setting.config).is_file()]
    all_serve = all({pair[part] for pair in there} == {pair[part] for pair in every} for part in (0, 1))
    return there if all_serve else every


def needed(
    targets: Sequence[str],
    models: Sequence[str],
    datasets: Sequence[str] | None,
    configs: pathlib.Path,
    methods: Sequence[str] | None,
    seeds: Sequence[int],
) -> list[Trial]:
    """The training runs of several targets, each once, seed by seed.

    Args:
        targets: of `TARGETS`.
        models: networks.
        datasets: only these; None for each target's own.
        configs: folder of the config files.
        methods: only these; None for all of each target.
        seeds: of the runs.
    """
    wanted = {
        Trial(setting, method, seed): None
        for seed in seeds
        for target in targets
        for setting in settings(target, models, datasets, configs)
        for method in TARGETS[target].methods
        if methods is None or method in methods
    }
    return list(wanted)
