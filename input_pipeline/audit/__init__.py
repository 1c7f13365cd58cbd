"""Check complete data sets: one pass over the faces (`scan`), and what the resulting table of statistics reveals.

stats, broken = scan(source, jobs=8)             one row of statistics for each face
issues.inspect({"train": ScannedSplit(source, ...)})     faults, and findings to review
class_counts.count(stats)                        how often each class occurs
"""
