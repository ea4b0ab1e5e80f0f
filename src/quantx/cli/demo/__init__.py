"""`quantx demo`: the whole pipeline on one machine, as a readable story."""
