"""Data sets: make records of a download, find its faults, count its classes, look at its faces.

examples:
  l2s data prepare CelebAMask-HQ --layout celebamask_hq --out records/celebamask
  l2s data check folder:faces
  l2s data show 'records:records/celebamask?val' --out faces.png
"""
