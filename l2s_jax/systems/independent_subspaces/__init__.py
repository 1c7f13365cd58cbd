"""Independent Subspaces (Awiszus, Ackermann and Rosenhahn, ICCVW 2019): docs/methods/independent_subspaces.md."""
