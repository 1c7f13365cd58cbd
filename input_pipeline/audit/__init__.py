"""Looking at whole data sets: one pass over the faces (`scan`), and what its small table of facts gives away.

facts, broken = scan(source, jobs=8)             one row of numbers for each face
findings.inspect({"train": (source, ...)})       what is wrong, or worth a look
class_counts.count(facts, source.label_set)      how often each class occurs
"""
