"""Chapter 4 on synthetic scenes: noise of gradients, and networks trained through bundle
adjustment with the plain and the weighted flow loss.
"""
