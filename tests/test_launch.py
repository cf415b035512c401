"""The launch files of docs/launch: as Slurm and Kubernetes would read them, with flags that train.py takes."""

import os
import subprocess

import pytest
import yaml

import train
from awn_jax import config


def flags_of(command, repository, monkeypatch):
    """Parses what stands behind train.py in a command, in the folder that it runs in; the config is read too."""
    monkeypatch.chdir(repository)
    parsed, changes = train.parse_arguments(command[command.index("train.py") + 1 :])
    config.read(parsed.config, changes)
    assert parsed.multihost
    return parsed


@pytest.fixture
def jobset(repository):
    return yaml.safe_load((repository / "docs" / "launch" / "jobset.yaml").read_text())


@pytest.fixture
def job(jobset):
    (job,) = jobset["spec"]["replicatedJobs"]
    return job


def test_jobset_begins_all_pods_again_when_one_is_lost(jobset, job):
    assert (jobset["apiVersion"], jobset["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    assert jobset["spec"]["failurePolicy"]["maxRestarts"] > 0
    spec = job["template"]["spec"]
    assert (spec["completionMode"], spec["backoffLimit"], job["replicas"]) == ("Indexed", 0, 1)
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_each_pod_of_a_jobset_knows_the_others_and_its_own_number(jobset, job, repository, monkeypatch):
    spec = job["template"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    (number,) = container["env"]
    assert (
        number["valueFrom"]["fieldRef"]["fieldPath"]
        == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    )
    name = jobset["metadata"]["name"]
    for index in range(spec["completions"]):
        args = [arg.replace(f"$({number['name']})", str(index)) for arg in container["args"]]
        parsed = flags_of([*container["command"], *args], repository, monkeypatch)
        assert parsed.process == index
        assert parsed.processes == spec["completions"] == spec["parallelism"]
        assert parsed.coordinator.rpartition(":")[0] == f"{name}-{job['name']}-0-0.{name}"


def test_what_pods_of_a_jobset_mount_is_there(job):
    pod = job["template"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_slurm_script_begins_a_process_for_each_gpu(repository, tmp_path, monkeypatch):
    script = repository / "docs" / "launch" / "slurm.sh"
    told = dict(
        line[8:].split("=") for line in script.read_text().splitlines() if line.startswith("#SBATCH --") and "=" in line
    )
    assert told["--ntasks-per-node"] == told["--gpus-per-node"]
    # `srun` that prints what it was given, an argument a line.
    srun = tmp_path / "srun"
    srun.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", script], env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True
    )
    parsed = flags_of(done.stdout.splitlines(), repository, monkeypatch)
    # Slurm tells them.
    assert (parsed.coordinator, parsed.processes, parsed.process) == (None, None, None)
