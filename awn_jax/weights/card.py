"""A model card: what a network is, what it was trained on and how, what it scores, and who may use it; from a run's records."""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from awn_jax import config as configs
from awn_jax import files, network, sealed
from awn_jax.config.schema import FREE_ON_RESUME
from awn_jax.evaluation import Sweep, report
from awn_jax.run import Run, RunError

# Rows of the curve that are listed at most.
MOST_ROWS = 40


class Source(NamedTuple):
    """Where images come from.

    Attributes:
        title: what they are.
        licence: under which they are published.
    """

    title: str
    licence: str


SOURCES = {
    "digits": Source(
        "Optical Recognition of Handwritten Digits (Alpaydin and Kaynak, UCI, 1998), the part that scikit-learn has, "
        "enlarged from 8 × 8",
        "CC BY 4.0",
    ),
    "mnist": Source("MNIST (LeCun, Cortes and Burges, 1998)", "CC BY-SA 3.0"),
    "fashion_mnist": Source("Fashion-MNIST (Xiao, Rasul and Vollgraf, Zalando, 2017)", "MIT"),
    "cifar10": Source(
        "CIFAR-10 (Krizhevsky, 2009), small photographs from the web",
        "none is stated; its author asks to be cited",
    ),
}


def of(run: Run, step: int, path: pathlib.Path, licence: str = "", *, ema: bool = False) -> str:
    """The card of a run's network, in Markdown.

    Args:
        run: its workdir.
        step: that the weights are of.
        path: of the file that holds them.
        licence: of the weights; empty where it is not known.
        ema: the weights are the moving average of the run's.

    Raises:
        RunError: if the run's sweep is damaged, or of other weights.
    """
    facts, config = run.facts, run.config
    model = run.network()
    cost = network.cost(model, facts.image_size, 1)
    height, width, planes = facts.image_size
    options = model.Options()
    own = {key: value for key, value in configs.flat(config.model).items() if key != "name"}
    changed = [f"{key}={value}" for key, value in own.items() if value != getattr(options, key)]
    name = config.data.name.partition(":")[0]
    source = SOURCES.get(config.data.name, Source(f"`{config.data.name}`", "not stated here"))
    moments = ", ".join(f"{mean:.4g} ± {std:.4g}" for mean, std in zip(facts.mean, facts.std, strict=True))
    whose = "the moving average" if ema else "those"
    classes = ", ".join(facts.class_names) or "no names"
    environment = _environment(run)
    return "\n".join(
        [
            f"# {path.stem}: an any-width {type(model).__name__} for {name}",
            "",
            f"- **Network**: {' '.join([config.model.name, *changed])}; {cost.params:,} parameters, {cost.macs:,} "
            f"multiply-accumulates for one image at full width; {path.stat().st_size:,} bytes in the file.",
            f"- **Images**: {height} × {width} pixels, planes: {planes}; mean ± standard deviation (white is 1): {moments}.",
            f"- **Classes**: {facts.classes} ({classes}).",
            f"- **Trained on**: {source.title}; {facts.count:,} images of split `{config.data.train_split}`; licence: "
            f"{source.licence}.",
            f"- **Recipe**: {_recipe(config)}; all other fields are at their defaults (awn_jax/config/schema.py).",
            *_converted(run),
            f"- **Seed**: {config.train.seed}. The weights are {whose} of the last step, {step:,}.",
            *([f"- **Made with**: {environment}."] if environment else []),
            f"- **Licence of the weights**: {licence or 'not stated'}.",
            "",
            *_curve(run, "sweep_ema.json" if ema else "sweep.json"),
            "",
        ]
    )


def _recipe(config: configs.Config) -> str:
    """The fields that make the run another one than the default of its model."""
    usual = configs.flat(configs.parse({"model": {"name": config.model.name}}))
    fields = [
        f"{name}={value}"
        for name, value in configs.flat(config).items()
        if value != usual[name] and not name.startswith("model.") and name not in FREE_ON_RESUME
    ]
    return f"`{' '.join(fields)}`" if fields else "the default one"


def _converted(run: Run) -> list[str]:
    """Where the first weights are from, if they are those of a file."""
    try:
        found = files.read_json(run.folder / "converted.json")
    except FileNotFoundError:
        return []
    return [f"- **Begun from**: the weights in {found['file']}, SHA-256 {found['sha256']}."]


def _environment(run: Run) -> str:
    try:
        found: Mapping[str, Any] = sealed.read(run.folder / "environment.json")
    except (FileNotFoundError, files.UnreadableError):
        return ""
    versions = ", ".join(f"{name} {version}" for name, version in found.get("versions", {}).items())
    return f"{found.get('hardware', 'a machine that is not known')}; {versions}"


def _curve(run: Run, name: str) -> list[str]:
    """The table of the run's sweep, or what to do where there is none."""
    path = run.folder / name
    try:
        content = files.read_json(path)
        sweep = report.from_json(content)
    except FileNotFoundError:
        return ["Not swept: `python eval_sweep.py --workdir=…` measures it at every width."]
    except (files.UnreadableError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged ({error}): make it again with eval_sweep.py") from error
    run.check_current(content, name)
    return [f"On the {content.get('split', 'test')} images: {report.summary(sweep)}.", "", *_table(sweep)]


def _table(sweep: Sweep) -> list[str]:
    metrics = report.shown(sweep)
    heads = ["width", "parameters", "multiply-accumulates", *(metric.title for metric in metrics.values())]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    last = len(sweep.rows) - 1
    count = min(len(sweep.rows), MOST_ROWS)
    for number in sorted({round(i * last / max(count - 1, 1)) for i in range(count)}):
        row = sweep.rows[number]
        values = [metric.show(row.metrics[name]) for name, metric in metrics.items()]
        lines.append(f"| {' | '.join([f'{row.width:.4f}', f'{row.params:,}', f'{row.macs:,}', *values])} |")
    return lines
