"""U-Net on the nuclei of the 2018 Data Science Bowl: which pixels are a cell nucleus, at every width.

Source: U-Net (Ronneberger et al. 2015), a quarter as wide, with a first convolution of stride 2; the recipe is our own. The
images are a folder in COCO's form, `train.json`, `val.json` and `test.json` beside folders of pictures of 256 × 256 pixels.
The default trains every width, nested.

Measured on the test images, seed 0, 100 epochs, one core of an AMD EPYC beside other work (JAX 0.10.2, Flax 0.12.8): IoU of the
foreground 77.10, 78.75, 78.52 and 78.77 % at ¼, ½, ¾ and full width, mean IoU 87.5 and 88.4 % at ¼ and full width.

    python train.py --config=configs/unet_nuclei.py --config.data.name=coco:PATH
    python train.py --config=configs/unet_nuclei.py:us_net --config.data.name=coco:PATH     # or another method
"""

from awn_jax import config as configs

# Triangular networks, which hold half the weights of ordinary ones, are √2 wider.
WIDER = {"model.multiplier": 0.35}
RECIPES = {
    **dict.fromkeys(("awn", "awn_fixed", "awn_random", "awn_ends", "awn_distilled"), WIDER),
    "awn_core": {"model.multiplier": 0.34375},
}


def get_config(method="awn"):
    config = configs.default("unet")
    config.task = "segment"
    config.model.multiplier = 0.25
    config.model.grid = 32
    config.model.levels = 5
    config.model.stride = 2
    config.data.name = "coco:nuclei"
    config.data.validation_split = "val"
    config.data.image_size = (256,)
    config.data.fit = "pad"
    config.data.augment = "scale_jitter(least=0.8, most=1.5), flip, flip_vertical, transpose, colour_jitter"
    config.data.feed = "host"
    config.train.batch_size = 8
    config.train.epochs = 100.0
    config.train.optimizer = "adamw"
    config.train.learning_rate = 3e-3
    config.train.warmup = 3.0
    config.train.schedule = "cosine"
    config.train.weight_decay = 0.05
    config.train.decays = "kernels"
    config.train.validate_every = 10.0
    config.widths.calibration = "running"
    return configs.apply(config, method, RECIPES)
