"""How long one image takes at the widths of a sweep."""

from awn_jax import hardware
from awn_jax.evaluation import Sweep
from awn_jax.models import AnyWidthNetwork
from awn_jax.profile.measure import measure
from awn_jax.profile.table import ProfiledWidth, ProfileError, load_current
from awn_jax.run import Run, RunError


def latencies(
    run: Run, model: AnyWidthNetwork, sweep: Sweep, *, seconds: float = 5.0
) -> tuple[dict[float, float], str]:
    """Milliseconds for one image by width, and where: from the run's profile if it is of the newest checkpoint and has all widths,
    else measured now.

    Args:
        run: whose profile is looked for.
        model: its network.
        sweep: whose widths are wanted.
        seconds: to spend on measuring.
    """
    values = {row.width: row.metrics[sweep.metric] for row in sweep.rows}
    rows: tuple[ProfiledWidth, ...] = ()
    batch, device = 1, hardware.describe_device()
    try:
        measured = load_current(run)
        if set(values) <= {row.width for row in measured.rows}:
            rows, batch, device = measured.rows, measured.batch_sizes[0], measured.device
    except (ProfileError, RunError):
        pass
    if not rows:
        rows, _ = measure(model, run.facts.image_size, values, [1], seconds=seconds)
    return {row.width: row.latency[batch].median_ms / batch for row in rows}, f"{device}, batch size {batch}"
