#!/usr/bin/env bash
# Checks everything, in the order in which a failure is cheapest: `make test` installs what is needed and calls this.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-auto}"

stage() {
    printf '\n==> [%s s] %s\n' "$SECONDS" "$*"
}

stage "format"
cargo fmt --all -- --check

if docker compose version >/dev/null 2>&1; then
    stage "docker compose config"
    docker compose config --quiet
elif command -v docker-compose >/dev/null; then
    stage "docker-compose config"
    docker-compose config --quiet
fi

stage "viewer"
# Before the program, which has it inside.
scripts/viewer.sh

stage "lints"
cargo clippy --locked --all-targets -- -D warnings

stage "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

stage "Rust tests"
# One private Postgres for all test programs; each test has a database of its own.
cargo build --locked --example with_postgres
with_postgres=$root/target/debug/examples/with_postgres
profile=default
if [ -n "${CI:-}" ]; then
    profile=ci
    # A change is judged by choices that do not differ from one run to the next; new ones are tried on developers' machines, and by `make fuzz`.
    export PLUE_TEST_SEED="${PLUE_TEST_SEED:-20261122}"
fi
if cargo nextest --version >/dev/null 2>&1; then
    "$with_postgres" cargo nextest run --locked --profile "$profile"
    cargo test --locked --doc
else
    "$with_postgres" cargo test --locked
fi

stage "TypeScript"
scripts/packages.sh clients
scripts/packages.sh tests/node
node=$(scripts/node.sh)
export node
(cd clients/viewer && "$node" ../node_modules/vitest/vitest.mjs run)
(cd clients/typescript && "$node" ../node_modules/typescript/bin/tsc --noEmit && "$node" ../node_modules/tsup/dist/cli-default.js --silent)

cargo build --locked
# The same tests against both sources of shapes: the engine inside the program, and one in another process. At the same time,
# because they wait more than they calculate.
node_tests() {
    (cd tests/node && PLUE_TEST_SOURCE=$1 "$node" --test)
}
both_sources() {
    local proxied status=0
    proxied=$(mktemp)
    node_tests proxy >"$proxied" 2>&1 &
    node_tests engine || status=1
    wait $! || status=1
    stage "Node tests, source proxy"
    cat "$proxied"
    rm "$proxied"
    return "$status"
}
# Of the package, and of pages in a browser.
client_tests() {
    local packaged status=0
    packaged=$(mktemp)
    (cd clients/typescript && "$node" ../node_modules/vitest/vitest.mjs run) >"$packaged" 2>&1 &
    (cd clients/tests && "$node" --test --test-concurrency=3) || status=1
    wait $! || status=1
    stage "package"
    cat "$packaged"
    rm "$packaged"
    return "$status"
}
export -f node_tests both_sources client_tests stage
stage "Node tests, source engine"
"$with_postgres" bash -c both_sources
stage "browser"
"$with_postgres" bash -c client_tests

stage "all good"
