"""A small vertically sliced ResNeXt on CIFAR-100 with its 20 superclasses, sparse: one pass trains all its sub-networks.

Source: Anytime Neural Prediction via Slicing Networks Vertically (Lee & Shin 2018), whose sparse form it is, with 4 branches of
bottleneck 8, 16, 32, a trunk of 32, 64, 128 channels, and two blocks in each stage. They train 8 branches and 7 blocks in each
stage for 300 epochs.

Not yet run.

    python train.py --config=configs/sliced_resnext_cifar100.py
    python train.py --config=configs/sliced_resnext_cifar100.py --config.taxonomy.fine_from=0.25   # fine at every width
    python train.py --config=configs/sliced_resnext_branches_cifar100.py                            # the multi-branch form
"""

from awn_jax import config as configs


def get_config(method="awn"):
    config = configs.default("sliced_resnext")
    config.model.branches = 4
    config.model.trunk = 32
    config.model.bottleneck = 8
    config.model.blocks = (2, 2, 2)
    config.task = "taxonomy"
    config.taxonomy.fine_from = 0.5
    config.data.name = "cifar100"
    config.data.mean = (0.5071, 0.4865, 0.4409)
    config.data.std = (0.2673, 0.2564, 0.2762)
    config.data.augment = "crop_flip"
    config.train.epochs = 15.0
    config.train.batch_size = 64
    config.train.learning_rate = 0.1
    config.train.weight_decay = 1e-4
    config.widths.total = 1.0
    return configs.apply(config, method)
