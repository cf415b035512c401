"""Snout, ears and tail base of a mouse, by a feature pyramid that is any-width from the image to every cell's answer.

    python train.py --config=configs/keypoints_mouse.py --config.data.name=coco:PATH
    python train.py --config=configs/keypoints_mouse.py:us_net --config.data.name=coco:PATH

PATH holds `train.json` and `test.json` as COCO writes them, beside folders `train` and `test` of pictures, such as those of
DeepLabCut's open-field example: 116 grey pictures of 640 × 480 with four key points each, where nets that people use err by 2.7
to 3.8 pixels. An eighth of the training pictures is kept apart and scored every 25 epochs. Left and right ear change places in
mirrored pictures. Networks are as wide as those of `fpn_bccd`. The recipe is the project's own, for two cores and less than 90
minutes.

Measured on the test pictures, seed 0, in 25 minutes on one core of an AMD EPYC (JAX 0.10.2, Flax 0.12.8): errors of 7.78, 4.84,
4.11 and 3.83 pixels at ¼, ½, ¾ and full width.
"""

from awn_jax import config as configs

WIDER = {"model.multiplier": 0.7}
RECIPES = {
    **dict.fromkeys(("awn", "awn_fixed", "awn_random", "awn_ends", "awn_distilled"), WIDER),
    "awn_core": {"model.multiplier": 0.6875},
}


def get_config(method="awn"):
    config = configs.default("fpn")
    config.task = "keypoints"
    config.model.stride = 4
    config.model.tower = 2
    config.model.multiplier = 0.5
    config.model.grid = 32
    config.data.name = "coco:mouse_keypoints"
    config.data.image_size = (192, 256)
    config.data.fit = "pad"
    config.data.feed = "host"
    ears, jitter = "pairs=((1, 2),)", "colour_jitter(brightness=0.3, contrast=0.3)"
    config.data.augment = f"scale_jitter(least=0.7, most=1.5), flip({ears}), flip_vertical({ears}), {jitter}"
    config.data.validation = 0.125
    config.train.epochs = 250.0
    config.train.batch_size = 8
    config.train.optimizer = "adamw"
    config.train.learning_rate = 2e-3
    config.train.schedule = "cosine"
    config.train.warmup = 8.0
    config.train.weight_decay = 0.05
    config.train.decays = "kernels"
    config.train.clip = 10.0
    config.train.validate_every = 25.0
    config.widths.calibration = "running"
    return configs.apply(config, method, RECIPES)
