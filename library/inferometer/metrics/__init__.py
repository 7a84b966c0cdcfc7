"""What is measured, under which names, and how it is shown: catalogue, labels, cells, exposition.

`catalog` alone decides names, labels and buckets; `build` makes cells that are cheap to add to;
`exposition` writes them for a scraper and reads the expositions of strangers.
"""
