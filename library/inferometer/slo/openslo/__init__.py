"""OpenSLO v1: its documents become ours, and ours become its.

`objects` reads what every object has, `indicators` and `windows` the parts that need thought,
`reading` puts them together, and `writing` goes the other way. Nothing here knows rules.
Source: the OpenSLO specification v1, and its Go SDK for what is optional. Pure.
"""
