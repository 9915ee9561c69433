#!/usr/bin/env bash
# Builds the page that the program has inside, clients/viewer/dist, unless it is newer than all that it is made of. Needs Node; see install.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
dist=clients/viewer/dist/index.html
node=$(scripts/node.sh)

if [ -f "$dist" ]; then
    newer=$(find clients/package.json clients/package-lock.json clients/typescript/src clients/viewer clients/typescript/tsconfig.json \
        -path clients/viewer/dist -prune -o -type f -newer "$dist" -print -quit)
    if [ -z "$newer" ]; then exit 0; fi
fi
printf '\n==> building the viewer\n'
scripts/packages.sh clients
cd clients/viewer
"$node" ../node_modules/typescript/bin/tsc --noEmit
"$node" ../node_modules/vite/bin/vite.js build --logLevel warn
