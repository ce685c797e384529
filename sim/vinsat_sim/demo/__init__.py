"""One satellite from light to orbit: render its frames, let the flight program find the
orbit in a process of its own, and compare with the truth that only this side knows.
"""
