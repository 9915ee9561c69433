#!/usr/bin/env bash
# Installs the npm packages of a folder, unless they are those of its lock file already: packages.sh FOLDER
set -euo pipefail
cd "$(dirname "$0")/../$1"
if [ node_modules/.package-lock.json -nt package-lock.json ]; then exit 0; fi
# npm runs with the system's Node, which it may be a part of.
npm ci --no-audit --no-fund --loglevel=error </dev/null
touch node_modules/.package-lock.json
