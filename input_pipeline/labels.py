"""Label sets of face parsing: ids, names, colours, mirror partners, and the maps between label sets.

Three 19-class orders are in use for one data set, and data sets disagree on left and right. Here `l_` is always the
SUBJECT's left (the right half of an unflipped image), `l_lip` is the lower lip, `ear_r` an earring, `neck_l` a
necklace. Code never holds a bare class number: it asks `CELEBAMASK["l_eye"]`. Where a data set means the IMAGE's left
by `left`, its "left eye" is `r_eye` here, under the id that it has in the data set's own files.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from input_pipeline.errors import lookup, nearest, require

IGNORE = 255
"""Mask value of pixels that are ignored by every loss and score."""


@dataclasses.dataclass(frozen=True)
class Label:
    """One class of a label set.

    Attributes:
      id: the value in mask files and the channel of the logits.
      name: short name, the key of every table (`l_eye`).
      title: long name for people (`left eye`).
      color: RGB, 0..255, the same for a part in every label set.
    """

    id: int
    name: str
    title: str
    color: tuple[int, int, int]

    @property
    def side(self) -> str | None:
        """Return `left` or `right` of the subject, or None for a class without a side."""
        return {"l": "left", "r": "right"}[self.name[0]] if self.partner else None

    @property
    def partner(self) -> str | None:
        """Return the name of the class that this one becomes when the image is mirrored, or None."""
        side, _, part = self.name.partition("_")
        return {"l": "r_", "r": "l_"}[side] + part if side in ("l", "r") and part in ("eye", "brow", "ear") else None


@dataclasses.dataclass(frozen=True)
class LabelSet:
    """An ordered set of classes; class 0 is the background (with the hair, in `subspace_parts`)."""

    name: str
    labels: tuple[Label, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> int:
        """Return the id of the class `name`; a KeyError suggests the nearest class."""
        for label in self.labels:
            if label.name == name:
                return label.id
        hint = nearest(name, self.names, f"it has: {', '.join(self.names)}")
        raise KeyError(f"label set '{self.name}' has no class '{name}' ({hint})")

    @property
    def names(self) -> tuple[str, ...]:
        """Return the class names in id order."""
        return tuple(label.name for label in self.labels)

    def region(self, *names: str) -> tuple[int, ...]:
        """Return the ids of all classes that the names mean, each once, in id order.

        Args:
          names: classes, or regions of several: those of `REGIONS`, as far as the set tells their parts apart.

        Raises:
          UserError: no such class or region; the sentence suggests the nearest one.
        """
        known = {name: (name,) for name in self.names}
        known = {name: parts for name, parts in REGIONS.items() if not set(parts).isdisjoint(self.names)} | known
        wanted = {part for name in names for part in lookup(known, name, "region", of=f"of label set '{self.name}'")}
        return tuple(label.id for label in self.labels if label.name in wanted)

    @property
    def palette(self) -> np.ndarray:
        """Return the RGB colours, uint8 [256, 3]; 255 (ignore) is white, unused ids are black."""
        table = np.zeros((256, 3), np.uint8)
        for label in self.labels:
            table[label.id] = label.color
        table[IGNORE] = 255
        return table

    @property
    def flip(self) -> np.ndarray:
        """Return the uint8 [256] look-up table that swaps left and right in a mirrored mask; other values stay."""
        table = np.arange(256, dtype=np.uint8)
        for label in self.labels:
            if label.partner is not None and label.partner in self:
                table[label.id] = self[label.partner]
        return table


REGIONS: Mapping[str, tuple[str, ...]] = {
    "eyes": ("l_eye", "r_eye"),
    "brows": ("l_brow", "r_brow"),
    "ears": ("l_ear", "r_ear"),
    "lips": ("u_lip", "mouth", "l_lip"),
    "face": (
        *("skin", "nose", "eye_g", "l_eye", "r_eye", "eyes", "l_brow", "r_brow", "brows"),
        *("mouth", "u_lip", "l_lip", "lips", "beard"),
    ),
}
"""Regions of several classes, by the names that people ask for; `face` is what hair, ears and neck surround."""

_PARTS = {  # name: (title, RGB)
    "background": ("background", (24, 24, 32)),
    "skin": ("skin", (238, 190, 160)),
    "nose": ("nose", (226, 122, 84)),
    "eye_g": ("eyeglasses", (86, 86, 214)),
    "l_eye": ("left eye", (62, 160, 230)),
    "r_eye": ("right eye", (38, 112, 186)),
    "l_brow": ("left eyebrow", (150, 104, 58)),
    "r_brow": ("right eyebrow", (112, 76, 40)),
    "l_ear": ("left ear", (244, 164, 190)),
    "r_ear": ("right ear", (206, 116, 150)),
    "mouth": ("inner mouth", (130, 20, 44)),
    "u_lip": ("upper lip", (224, 62, 84)),
    "l_lip": ("lower lip", (246, 104, 124)),
    "hair": ("hair", (124, 92, 204)),
    "hat": ("hat", (240, 206, 62)),
    "ear_r": ("earring", (252, 240, 140)),
    "neck_l": ("necklace", (120, 220, 200)),
    "neck": ("neck", (196, 150, 124)),
    "cloth": ("clothing", (74, 152, 104)),
    "beard": ("beard", (98, 62, 130)),
    "facewear": ("facewear", (150, 210, 96)),
    "eyes": ("eyes", (62, 160, 230)),
    "brows": ("eyebrows", (150, 104, 58)),
    "lips": ("lips and mouth", (224, 62, 84)),
    "hair_background": ("background with hair", (124, 92, 204)),
    "face": ("face", (238, 190, 160)),
    "occlusion": ("what covers the face", (150, 210, 96)),
}


# Name -> its classes in the order of their ids; another order needs another entry. No documentation says which side an
# id means: the evidence stands beside each order. docs/data.md, "Whose left?", has it in a table.
_ORDERS: Mapping[str, str] = {
    # The official order of CelebAMask-HQ. `left` is the subject's: so in 93 of 100 faces of the data set; the rest are
    # photos that were mirrored without their labels (see `audit.sides`).
    "celebamask": "background skin nose eye_g l_eye r_eye l_brow r_brow l_ear r_ear mouth u_lip l_lip hair hat ear_r "
    "neck_l neck cloth",
    # The order of FaRL and SegFace for the same files, in which `l_ear` is number 4. FaRL calls that class `rr`: it
    # names the image's sides.
    "farl19": "background neck skin cloth l_ear r_ear l_brow r_brow l_eye r_eye nose mouth l_lip u_lip hair eye_g hat "
    "ear_r neck_l",
    # The order of the widespread BiSeNet (zllrunning) for the same files.
    "bisenet19": "background skin l_brow r_brow l_eye r_eye eye_g l_ear r_ear ear_r nose mouth u_lip l_lip neck neck_l "
    "cloth hair hat",
    # Skin includes the ears. Ids 2 and 4, "left eyebrow" and "left eye", are the image's left: they lie left of 3 and 5
    # in all seven faces of the data set's sample image (sample.png of its repository).
    "lapa": "background skin r_brow l_brow r_eye l_eye nose u_lip mouth l_lip hair",
    # The image's left as well, on weaker evidence, since no label image was available: code of Microsoft Research
    # for these labels takes its `lb` and `le` for iBUG's points 17..21 and 36..41, which lie on the image's left;
    # LaPa's authors took over these classes word for word; SegFace and FaRL name both alike. Nothing found says
    # otherwise. `l2s data check helen:DIR` measures it: were the subject's left meant, it would call all faces swapped.
    "helen": "background skin r_brow l_brow r_eye l_eye nose u_lip mouth l_lip hair",
    # `mouth` is the interior, `facewear` masks and the like. Ids 6 and 8, LEFT_BROW and LEFT_EAR, are on the image's
    # left in the figure that its authors published.
    "facesynthetics": "background skin nose l_eye r_eye l_brow r_brow l_ear r_ear mouth u_lip l_lip neck hair beard "
    "cloth eye_g hat facewear",
    "fasseg": "background skin hair eyes nose lips",
    # The five regions of Latents2Segments, in its slice order, after the background.
    "l2s_regions": "background hair skin nose eyes lips",
    # The two regions of Latents2Segments on Helen, in its slice order; `skin` is the whole face.
    "hair_skin": "background hair skin",
    # The five parts of Independent Subspaces (its Fig. 1).
    "subspace_parts": "hair_background face brows eyes lips",
    # Part Labels, as in Structure via Consensus; `skin` is the whole face, the ears and the neck.
    "skin_hair": "background skin hair",
    # COFW, as in Structure via Consensus; `face` is its visible part.
    "face_occlusion": "background face occlusion",
}
LABEL_SETS: Mapping[str, LabelSet] = {
    name: LabelSet(name, tuple(Label(i, part, *_PARTS[part]) for i, part in enumerate(parts.split())))
    for name, parts in _ORDERS.items()
}
CELEBAMASK, FARL19, BISENET19 = (LABEL_SETS[name] for name in ("celebamask", "farl19", "bisenet19"))
LAPA, HELEN, FACESYNTHETICS = (LABEL_SETS[name] for name in ("lapa", "helen", "facesynthetics"))
FASSEG, L2S_REGIONS, SUBSPACE_PARTS = (LABEL_SETS[name] for name in ("fasseg", "l2s_regions", "subspace_parts"))
HAIR_SKIN, SKIN_HAIR, FACE_OCCLUSION = (LABEL_SETS[name] for name in ("hair_skin", "skin_hair", "face_occlusion"))


_ALIASES = {"celebamask19": "celebamask", "lapa11": "lapa", "helen11": "helen"}
"""Names with the number of classes, as `farl19` and `bisenet19` have it."""


def get(name: str) -> LabelSet:
    """Return the label set called `name`; `celebamask19`, `lapa11` and `helen11` are `celebamask`, `lapa` and `helen`.

    Raises:
      UserError: no such label set; the sentence suggests the nearest one.
    """
    return lookup(LABEL_SETS, _ALIASES.get(name, name), "label set")


# A fine class that a coarse set lacks becomes the first name in its list that the set has.
# Brows, glasses: their pixels lie on the face, and the published skin target keeps them (Latents2Segments, Fig. 2).
_COARSER: Mapping[str, tuple[str, ...]] = {
    "background": ("hair_background",),
    "skin": ("face",),
    "nose": ("face",),
    "eye_g": ("skin", "face"),
    "beard": ("skin", "face"),
    "facewear": ("skin", "face"),
    "l_eye": ("eyes",),
    "r_eye": ("eyes",),
    "l_brow": ("brows", "skin", "face"),
    "r_brow": ("brows", "skin", "face"),
    "brows": ("skin", "face"),
    "l_ear": ("background", "hair_background"),
    "r_ear": ("background", "hair_background"),
    "mouth": ("lips",),
    "u_lip": ("lips",),
    "l_lip": ("lips",),
    "hair": ("hair_background",),
    "hat": ("background", "hair_background"),
    "ear_r": ("background", "hair_background"),
    "neck_l": ("neck", "background", "hair_background"),
    "neck": ("background", "hair_background"),
    "cloth": ("background", "hair_background"),
    "face": ("skin",),
    "hair_background": ("background",),
}
_FEATURES = ("nose", "l_eye", "r_eye", "eyes", "l_brow", "r_brow", "brows", "mouth", "u_lip", "l_lip", "lips")
_EARS = ("l_ear", "r_ear")
# Rules for one coarse set only. LaPa labels ears as skin; other sets without ears leave them to the background
# (Helen's README says so). Glasses cover the face; a mask does not say whether hair does.
_HOMES: Mapping[str, Mapping[str, str]] = {
    "lapa": dict.fromkeys(_EARS, "skin"),
    "skin_hair": dict.fromkeys((*_FEATURES, *_EARS, "neck"), "skin"),
    "hair_skin": dict.fromkeys(_FEATURES, "skin"),
    "face_occlusion": {
        **dict.fromkeys((*_FEATURES, "skin"), "face"),
        **dict.fromkeys(("eye_g", "facewear"), "occlusion"),
        "hair": "background",
    },
}


def remap(src: LabelSet, dst: LabelSet) -> np.ndarray:
    """Return the uint8 [256] look-up table from ids of `src` to ids of `dst`; 255 and ids outside `src` become 255.

    Raises:
      UserError: a class of `src` has no counterpart in `dst` (e.g. `eyes` in a set that tells left from right).
    """
    table = np.full(256, IGNORE, np.uint8)
    for label in src.labels:
        homes = (label.name, _HOMES.get(dst.name, {}).get(label.name), *_COARSER.get(label.name, ()))
        home = next((h for h in homes if h in dst), None)
        require(
            home is not None,
            f"label set '{src.name}' cannot be mapped to '{dst.name}': '{label.name}' has no counterpart there",
        )
        table[label.id] = dst[home]
    return table
