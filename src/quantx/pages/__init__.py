"""HTML pages: views are values, templates make them HTML and escape all text."""
