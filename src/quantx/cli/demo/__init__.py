"""`quantx demo`: the whole path on one machine, as a story that can be read."""
