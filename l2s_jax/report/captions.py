"""Texts of the report: how to read each figure, and what each number means. HTML."""

PANELS = {  # name: (lead, caption)
    "segmentation": (
        "What the parser sees in faces it was not trained on.",
        "Columns: faces. Rows: the input; the predicted regions; the labelled truth; the errors in colour over a dim "
        "grey face (no colour: right); the doubt, bright where the "
        "parser is not sure of its answer.",
    ),
    "reconstruction": (
        "How much of a face survives the way through the code and back.",
        "Columns: faces. Rows: the input; the face decoded from its code; their absolute difference, four times "
        "amplified (black: no difference).",
    ),
    "regions": (
        "Each slice of the code, decoded alone.",
        "Rows: faces. Columns: the input, then what one slice paints when all others are silent. A well-kept slice "
        "paints its own region and leaves the rest black.",
    ),
    "swaps": (
        "One part of another face, everything else unchanged.",
        "Rows: faces. Columns: the face, the donor (the next face), then the face with the one slice named "
        "above the column taken from the donor. Only that region should change.",
    ),
}

CLASSES = (
    "Rows: classes. Thick bar: F1. Thin bar: IoU. Dashed line: the mean F1, which leaves out the background "
    "(the first class)."
)

MERGED = (
    "Scored as if both eyes, both brows, both ears were one class each: what is lost beside the scores by side are "
    "confusions of left and right."
)

CONFUSION = (
    "Rows: the true class. Columns: the predicted class. Numbers: per cent of the true pixels, so every row adds up "
    "to 100 and a perfect parser fills only the diagonal. A dot is less than 0.05 %; a dash, a class without pixels."
)

EFFECT = (
    "Rows: the slice that was disturbed. Columns: the region where the picture changed. Numbers: per cent of the "
    "row, so a slice that keeps to its region fills only the diagonal. The sum on the right is the slice's whole "
    "effect before it is made a share: a slice far below the others does nothing, however clean its row looks. "
    "The masks cut each slice's colours out, so that whatever it paints stays in its region: a generator with random "
    "weights comes out nearly as clean."
)

EFFECT_UNMATTED = (
    "The same of the colours alone, before the masks cut them out: what the generator itself keeps apart. Equal "
    "numbers in a row: the slice paints anywhere, and only its mask confines it."
)

ACS_BASELINES = (
    "The scores and what stands beside them. Random generator: the same model, its masks and codes as trained, but "
    "what paints has fresh random weights ({faces} faces). Chance: a slice that changes all pixels alike. Without the "
    "matte: of the colours alone, before the masks cut them out. Noise: each slice is disturbed by a small part of its "
    "own deviation; swap: it is taken from another face."
)

TRAINING = (
    "Horizontal: training steps. Line: mean of neighbouring steps; band: their smallest and largest value; the number "
    "is the last point of the line."
)

_TERMS = {
    "F1": "twice the overlap of prediction and truth, divided by the sum of their areas; 1 is perfect.",
    "IoU": "the overlap divided by the area of the union; always at most F1.",
    "precision, recall": "the share of the predicted pixels that are right; the share of the true pixels found.",
    "at full size": "scored on the masks at the size of the original photo instead of the network's.",
    "mean mask": "a baseline that never looks: at each pixel the class that is most frequent there in these very "
    "faces, so an upper bound of what position alone tells.",
    "chance": "of F1: drawing every pixel's class with the frequencies of the data, which gives each class its share "
    "of the pixels; of ACS: a slice that changes all pixels alike, 1 / regions.",
    "published F1": "what the authors of the method report of their own model and faces; not measured in this run.",
    "L1": "mean absolute difference of the reconstruction to the input, both in [−1, 1].",
    "PSNR": "peak signal-to-noise ratio of the reconstruction in decibels; 6 dB more halve the error.",
    "mean face": "a baseline for L1 and PSNR: every face answered with the mean of all faces of these data.",
    "region effect": "how much disturbing one slice of the code changes each region of the picture, per pixel.",
    "macro ACS": "activeness-correlation score: the share of its effect that a slice has on its own region, "
    "averaged over slices, so that large and small regions count alike; 1 is full disentanglement. Masks that cut "
    "colours out raise it by themselves: read it beside that of a random generator.",
    "without the matte": "measured on the colours that the slices paint, before the masks cut them out.",
    "leak": "the share of a slice's effect that falls outside its own region; 0 is best.",
    "dead slice": "a slice whose effect on its own region is under a tenth of the median slice's, or which changes it "
    "by less than one of 256 grey levels when it is taken from another face: no picture could show it.",
}

TERMS = "<dl>" + "".join(f"<dt>{term}</dt><dd>{meaning}</dd>" for term, meaning in _TERMS.items()) + "</dl>"
