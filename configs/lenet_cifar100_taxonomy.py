"""LeNet-3C1L on CIFAR-100 with its 20 superclasses: narrow widths are asked for the superclass, wide ones for the class.

Source: the hierarchical taxonomy of Anytime Neural Prediction via Slicing Networks Vertically (Lee & Shin 2018), on the
network of Any-Width Networks (Vu et al. 2020). The superclasses are those of the set, its `coarse_label`.

Run for 15 epochs, with one seed: docs/using.md.

    python train.py --config=configs/lenet_cifar100_taxonomy.py
    python train.py --config=configs/lenet_cifar100_taxonomy.py --config.taxonomy.fine_from=0.25   # fine at every width
"""

from awn_jax import config as configs


def get_config(method="awn"):
    config = configs.default("lenet_3c1l")
    config.task = "taxonomy"
    config.taxonomy.fine_from = 0.5
    config.data.name = "cifar100"
    config.data.mean = (0.5071, 0.4865, 0.4409)
    config.data.std = (0.2673, 0.2564, 0.2762)
    config.data.augment = "crop_flip"
    config.train.epochs = 15.0
    config.train.weight_decay = 5e-4
    return configs.apply(config, method)
