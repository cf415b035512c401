#!/bin/bash
# Trains one network on four nodes of a Slurm cluster: `sbatch docs/launch/slurm.sh`, from the root of a checkout that all nodes
# see. The same command goes on where a job was cut off. docs/using.md says more, under "Several hosts".

#SBATCH --job-name=any-width
#SBATCH --nodes=4
# One process for each GPU, which finds its own by its number on the node: so no --gpus-per-task, which would hide the others.
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
# Two minutes before the end all processes are asked to stop, and save.
#SBATCH --signal=TERM@120
# After a node is lost, or a job of higher rank has taken it, the job begins again, and goes on from its last checkpoint.
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.log

set -eu

# JAX learns from Slurm who the others are. The workdir is on a disk that all nodes share.
srun --label .venv/bin/python train.py \
  --multihost \
  --join-seconds=300 \
  --config=configs/resnet50_imagenet.py \
  --workdir=runs/resnet50_imagenet
