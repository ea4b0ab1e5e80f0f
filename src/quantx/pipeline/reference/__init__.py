"""Reference data: universes, instruments and their symbols, suspected delistings."""
