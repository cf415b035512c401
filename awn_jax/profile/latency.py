"""The time that one image takes at each width of a sweep."""

from awn_jax import hardware
from awn_jax.evaluation import Sweep
from awn_jax.models import AnyWidthNetwork
from awn_jax.profile import store
from awn_jax.profile.measure import MOST_WIDTHS, measure
from awn_jax.profile.table import ProfileError
from awn_jax.run import Run, RunError
from awn_jax.widths import spread


def latencies(
    run: Run, model: AnyWidthNetwork, sweep: Sweep, *, seconds: float = 5.0
) -> tuple[dict[float, float], str]:
    """Milliseconds for one image by width: from the run's profile if that is current and has the widths, else measured now.

    Of a sweep of more than `MOST_WIDTHS` widths, so many evenly spaced ones are measured.

    Args:
        run: of the network.
        model: the network.
        sweep: of the widths.
        seconds: to spend on timing.

    Returns:
        The times, and on what machine and at which batch size they were taken.
    """
    wanted = spread(sweep.rows, MOST_WIDTHS)
    try:
        known = store.load_current(run)
        rows, batch, device = known.rows, known.batch_sizes[0], known.device
    except (ProfileError, RunError):
        rows, batch, device = (), 1, ""
    if not {row.width for row in wanted} <= {row.width for row in rows}:
        rows, _ = measure(model, run.facts.image_size, wanted, [1], seconds=seconds)
        batch, device = 1, hardware.describe_device()
    return {row.width: row.latency[batch].median_ms / batch for row in rows}, f"{device}, batch size {batch}"
