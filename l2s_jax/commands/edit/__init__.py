"""Edit faces by parts: swap, mix, restyle and move the slices of their codes, with any model that has a codec. Or by
persons: exchange who is shown and how, with any model that tells them apart (identity, deidentify, sequence).

Of parts, the result is always the face of --target with what the command changes in it. Into the folder --out go, for
a photo NAME and a command VERB,

  NAME_VERB.png        the edited face (where there are several: NAME_VERB_00.png, NAME_VERB_01.png ...)
  NAME_VERB.gif        walks and sequences
  NAME_VERB_grid.png   photos, decoded and edited faces side by side
  NAME_VERB.json       what has changed inside and outside of the edited regions, in grey levels of 255; of persons, how
                       similar identities are

A second run of the same command replaces its results; results of other arguments get a number, and files that
`l2s edit` did not write are never replaced. Photos should show one face that fills most of the picture.

examples:
  l2s edit swap --source b.jpg --target a.jpg --regions hair,eyes --out edits
  l2s edit mix --faces a.jpg b.jpg c.jpg --out edits
  l2s edit restyle --target a.jpg --region lips --from c.jpg --out edits --blend
  l2s edit interpolate --source b.jpg --target a.jpg --steps 9 --out edits
  l2s edit identity --id a.jpg --attributes b.jpg --out edits
  l2s edit traverse --target a.jpg --region hair --among b.jpg c.jpg d.jpg --out edits
"""
