"""The alerts that are shipped for everybody: model servers, requests and GPUs.

Each is declared once, with its default and its source; rules, runbooks, inhibition and pages are
made from that. Alerts on SLOs are in `inferometer.slo.alerts`.
"""
