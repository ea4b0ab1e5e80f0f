"""Import archives of options: check a member, stage its rows as sorted files, and commit them once."""
