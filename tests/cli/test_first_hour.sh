#!/usr/bin/env bash
# A hospital's first hour with Hilum: a site of its own, rules, deliveries, corrections, a lost catalogue, mishaps.
exec python3 "$(dirname "$0")/first_hour.py"
