"""Data sets from a recipe: planned, built, resumed, verified, labelled, looked at.

recipe (what) -> products (which pictures) -> a source of `groundtools.imagery` (how) ->
store (files and manifest) -> labels and cards.
"""
