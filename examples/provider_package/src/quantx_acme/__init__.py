"""The invented vendor Acme as a source of QuantX Data Builder."""
