"""SLOs for the tools of others, and what each of them cannot say.

`sloth` and `pyrra` write one file a document; `openslo` has a package of its own, which also reads.
`targets` chooses, and tells what gets lost. Pure.
"""
