"""Records: a data set as sharded ArrayRecord files, written once from a raw download and then read at random.

    DIR/manifest.json                       the contents; written last: a folder without it is not finished
    DIR/train-00003-of-00012.array_record   the faces of a shard, one safetensors message each (`message`)
    DIR/train-00003-of-00012.json           the contents of that shard; written after it: the shard is done
    DIR/train.names, DIR/train.presence     all names, one a line; which classes each face shows, packed bits
    DIR/plan.json                           which face goes into which shard; written first
    DIR/broken.jsonl                        the faces that are in no shard, and why

`prepare` writes them (`plan`, `shards`), `source` reads them (`bucket`).
A data set without splits has files called `faces-...`.
"""
