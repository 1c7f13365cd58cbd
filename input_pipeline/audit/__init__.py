"""Checks of complete data sets: one pass over the faces (`scan`), and what the resulting table of statistics reveals.

facts, broken = scan(source, jobs=8)             one row of statistics for each face
issues.inspect({"train": Part(source, ...)})     faults, and findings to review
class_counts.count(facts)                        how often each class occurs
"""
