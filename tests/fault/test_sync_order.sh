#!/usr/bin/env bash
# Each C-STORE success leaves after the sync that covers its object, its name and its row.
exec python3 "$(dirname "$0")/sync_order.py"
