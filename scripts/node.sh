#!/usr/bin/env bash
# Prints the Node to run our tests and tools with: the one that install.sh made where the system's is too old.
set -euo pipefail
cd "$(dirname "$0")/.."
own=$PWD/.node/node_modules/node/bin/node
if [ -x "$own" ]; then echo "$own"; else command -v node; fi
