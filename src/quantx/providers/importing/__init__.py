"""Files as a source: their forms, their values, and the provider whose fetch reads them."""
