"""Blood cells of three kinds in boxes, by a feature pyramid that is any-width from the image to every cell's answer.

    python train.py --config=configs/fpn_bccd.py --config.data.name=coco:PATH
    python train.py --config=configs/fpn_bccd.py:us_net --config.data.name=coco:PATH

PATH holds `train.json`, `val.json` and `test.json` as COCO writes them, beside folders `train`, `val` and `test` of pictures,
such as those of BCCD in its own split: 364 microscope pictures of 640 × 480, MIT licence. The validation pictures are scored
every 20 epochs. The network is half as wide as MobileNetV2 with a pyramid of 64 channels; triangular ones are √2 wider than
that, so that all hold about as many weights. The recipe is the project's own, for two cores and less than 90 minutes.
"""

from awn_jax import config as configs

WIDER = {"model.multiplier": 0.7}
RECIPES = {
    **dict.fromkeys(("awn", "awn_fixed", "awn_random", "awn_ends", "awn_distilled"), WIDER),
    "awn_core": {"model.multiplier": 0.6875},
}


def get_config(method="awn"):
    config = configs.default("fpn")
    config.task = "detect"
    config.model.stride = 8
    config.model.multiplier = 0.5
    config.model.grid = 32
    config.data.name = "coco:bccd"
    config.data.image_size = (192, 256)
    config.data.fit = "pad"
    config.data.feed = "host"
    jitter = "colour_jitter(brightness=0.2, contrast=0.2, saturation=0.2)"
    config.data.augment = f"scale_jitter(least=0.8, most=1.25), flip, flip_vertical, {jitter}"
    config.data.validation_split = "val"
    config.train.epochs = 150.0
    config.train.batch_size = 8
    config.train.optimizer = "adamw"
    config.train.learning_rate = 2e-3
    config.train.schedule = "cosine"
    config.train.warmup = 4.0
    config.train.weight_decay = 0.05
    config.train.decays = "kernels"
    config.train.clip = 10.0
    config.train.validate_every = 20.0
    config.widths.calibration = "running"
    return configs.apply(config, method, RECIPES)
