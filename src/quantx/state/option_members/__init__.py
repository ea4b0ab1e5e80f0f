"""The members of option archives, and what has become of each."""
