"""Studies: datasets without look-ahead, training, evaluation and batch inference."""
