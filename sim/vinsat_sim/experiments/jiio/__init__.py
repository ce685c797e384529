"""Chapter 3 measured again, on digits: decoders, inverse problems, adversaries, few-shot curves.

`images` are the data, `models` what is trained (with seeds, kept for the process), `race`
what the reproductions share: `speed`, `adversarial`, `inverse`, `meta`. Every loss compared
is that of z solved again at the x returned.
what the reproductions share: `speed`, `adversarial`, `inverse`, `meta`.
Every loss compared is that of z solved again at the x returned.
"""
