"""What inference engines and exporters show on `/metrics`, by version: names, kinds, bucket edges.

One module for each engine holds its pages, with where they were read. `table` answers questions
about all of them. A metric that is not here may exist: engines have more than what promises are
made about, and newer versions. Pure.
"""
