"""Makes faults on purpose and looks at what becomes of them: nothing may be wrong without a word.

    make test-faults
    python -m tests.faults --only checkpoints files --seed 1

A fault is survived (the result is right), or refused with one line that says what is wrong. The last line is
`N tried, M silent, K tracebacks`; the exit status is not 0 if M or K is not. What cannot be tried on a machine, such as a full
disk where nothing may be mounted, is said and not counted.
"""

import argparse
import importlib
import os
import pathlib
import signal
import sys
import tempfile

KINDS = {
    "checkpoints": "single bits of checkpoints are flipped",
    "files": "single bits of every other file that is read back are flipped",
    "commands": "bad command lines, made from the parsers and the config's fields",
    "serving": "a server's memory and programs, called with batches of any size",
    "kill": "training is killed with -9 at random moments, and goes on",
    "disk": "the disk is full",
    "readonly": "the run is in a folder that cannot be written to",
    "environment": "locales, no home folder, JAX's settings, threads",
    "hosts": "one of several processes is killed, hangs, fails or differs",
    "processes": "two and four processes train as one does, and go on after a kill",
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=__doc__,
        epilog="kinds:\n" + "\n".join(f"  {kind:12} {title}" for kind, title in KINDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=KINDS, metavar="KIND", help="see below (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of whatever is random (default: 0)")
    arguments = parser.parse_args()

    # Whoever ends this process leaves no disk mounted and no process running.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    # Programs compiled by one trial serve the next.
    with tempfile.TemporaryDirectory(prefix="faults_") as folder:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(pathlib.Path(folder) / "xla")
        try:
            return run(pathlib.Path(folder), list(arguments.only or KINDS), arguments.seed)
        except KeyboardInterrupt:
            print("ended before all was tried", file=sys.stderr)
            return 130


def run(folder: pathlib.Path, kinds: list[str], seed: int) -> int:
    """Tries the kinds; the exit status."""
    from tests.faults import core, small

    count = core.Count()
    repository = pathlib.Path(__file__).parent.parent.parent
    ground = core.Ground(repository, folder, folder / "trained", seed)
    print(f"── training a small network, seed {seed}", flush=True)
    small.train(ground.trained)
    for kind in kinds:
        scratch = folder / kind
        scratch.mkdir()
        print(f"── {kind}: {KINDS[kind]}", flush=True)
        trials = importlib.import_module(f"tests.faults.{kind}").trials
        count.take(kind, trials(ground._replace(scratch=scratch)))
    return count.end()


if __name__ == "__main__":
    sys.exit(main())
