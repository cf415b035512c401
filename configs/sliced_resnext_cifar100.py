"""A small vertically sliced ResNeXt on CIFAR-100 with its 20 superclasses, in its sparse and its multi-branch form.

Source: Anytime Neural Prediction via Slicing Networks Vertically (Lee & Shin 2018). They train 8 branches of bottleneck 4, 8
and 16, a trunk of 64, 128 and 256 channels and 7 blocks in each stage for 300 epochs. Here: 4 branches, two blocks in each
stage, and channels that make the two forms equally large at full width, 15 epochs.

The sparse form was run, with one seed: docs/models.md. The multi-branch form and fine labels everywhere were not.

    python train.py --config=configs/sliced_resnext_cifar100.py          # sparse: one pass for all
    python train.py --config=configs/sliced_resnext_cifar100.py:s_net    # multi-branch: private norms, a pass for each
    python train.py --config=configs/sliced_resnext_cifar100.py --config.taxonomy.fine_from=0.25   # fine at every width
"""

from awn_jax import config as configs


def get_config(method="awn"):
    config = configs.default("sliced_resnext")
    config.model.branches = 4
    config.model.blocks = (2, 2, 2)
    config.model.trunk = 16
    config.model.bottleneck = 4
    config.task = "taxonomy"
    config.taxonomy.fine_from = 0.5
    config.data.name = "cifar100"
    config.data.mean = (0.5071, 0.4865, 0.4409)
    config.data.std = (0.2673, 0.2564, 0.2762)
    config.data.augment = "crop_flip"
    config.train.epochs = 15.0
    config.train.learning_rate = 0.1
    config.train.weight_decay = 1e-4
    config.widths.total = 1.0
    if method == "s_net":
        config.model.form = "branches"
        config.model.trunk = 28
        config.model.bottleneck = 7
    # The same mean over the sub-networks, however they are trained.
    return configs.apply(config, method, {"s_net": {"widths.total": 1.0}})
