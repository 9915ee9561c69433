#!/usr/bin/env bash
# Installs what this machine lacks, of what is named: install.sh [postgres] [node] [nginx] [chromium] [checks]
#
#   postgres  the server programs, found where `src/local_postgres/programs.rs` looks; no cluster is made or started
#   node      Node 20.19 or newer: the system's, or else the npm package `node` in the folder .node
#   nginx     the program, for the tests of a cache in front; no service is started, now or at the next boot
#   chromium  the browser, for the tests of pages, with a font
#   checks    rustfmt and clippy
#
# On Debian and Ubuntu it uses apt, as root or with sudo. Elsewhere it says what to install. Does nothing where nothing is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n==> %s\n' "$*"; }
fail() { printf '\nplue-sync: %s\n' "$*" >&2; exit 1; }

# apt_install PACKAGE...: only what is named and what it needs.
apt_install() {
    say "installing with apt: $*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null >/dev/null
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

can_apt() {
    command -v apt-get >/dev/null && { [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null; }
}

prerequisites() {
    command -v cargo >/dev/null || fail "Rust is missing; install 1.90 or newer from https://rustup.rs"
    command -v cc >/dev/null || fail "a C compiler is missing; install one with \`apt-get install gcc libc6-dev\` or \`xcode-select --install\`"
}

has_postgres() {
    local dir IFS=:
    for dir in $PATH /usr/lib/postgresql/*/bin /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin \
        /home/linuxbrew/.linuxbrew/opt/postgresql@*/bin; do
        if [ -x "$dir/postgres" ] && [ -x "$dir/initdb" ]; then return 0; fi
    done
    return 1
}

install_postgres() {
    if has_postgres; then return; fi
    can_apt || fail "Postgres' server programs are missing; install version 14 or newer, for example with \`brew install postgresql@17\`, or as root \`apt-get install postgresql\`"
    # The package would make and start a cluster of its own, which nobody here needs.
    apt_install postgresql-common
    local quiet=/etc/postgresql-common/createcluster.d/plue-sync.conf
    as_root mkdir -p "${quiet%/*}"
    echo 'create_main_cluster = false' | as_root tee "$quiet" >/dev/null
    local failed=0
    apt_install postgresql || failed=$?
    as_root rm -f "$quiet"
    if [ "$failed" -ne 0 ] || ! has_postgres; then fail "apt could not install postgresql; see above"; fi
}

# new_enough NODE: 20.19 or newer.
new_enough() {
    command -v "$1" >/dev/null &&
        "$1" -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)'
}

install_node() {
    if new_enough node || new_enough .node/node_modules/node/bin/node; then return; fi
    if ! command -v npm >/dev/null; then
        can_apt || fail "Node is missing; install version 20.19 or newer from https://nodejs.org"
        apt_install npm
    fi
    say "installing node 20 into .node"
    mkdir -p .node
    npm install --prefix .node --no-save --no-audit --no-fund --loglevel=error 'node@^20.19.0' </dev/null
    new_enough .node/node_modules/node/bin/node || fail "the npm package node@20 does not run here; install Node 20.19 or newer"
}

has_nginx() {
    command -v nginx >/dev/null || [ -x /usr/sbin/nginx ]
}

install_nginx() {
    if has_nginx; then return; fi
    can_apt || fail "nginx is missing; install it, for example with \`brew install nginx\`, or as root \`apt-get install nginx\`"
    # The package would start a service on port 80, now and at each boot, which nobody here needs. Who has a policy keeps it.
    local policy=/usr/sbin/policy-rc.d ours=0 failed=0
    if [ ! -e "$policy" ]; then
        ours=1
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod +x "$policy"
    fi
    apt_install nginx || failed=$?
    if [ "$ours" -eq 1 ]; then as_root rm -f "$policy"; fi
    if [ "$failed" -ne 0 ] || ! has_nginx; then fail "apt could not install nginx; see above"; fi
    if command -v update-rc.d >/dev/null; then as_root update-rc.d nginx disable >/dev/null; fi
}

has_chromium() {
    local program
    for program in "${PLUE_CHROMIUM:-}" /usr/bin/chromium /usr/bin/chromium-browser /usr/bin/google-chrome \
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
        if [ -x "$program" ]; then return 0; fi
    done
    return 1
}

install_chromium() {
    if has_chromium; then return; fi
    can_apt || fail "Chromium is missing; install it, or Google Chrome, and name it by PLUE_CHROMIUM where it is not found"
    apt_install chromium fonts-dejavu-core
    has_chromium || fail "apt could not install chromium, or only as a snap; install Chromium or Google Chrome and name it by PLUE_CHROMIUM"
}

install_checks() {
    if cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1; then return; fi
    command -v rustup >/dev/null || fail "rustfmt and clippy are missing; install them with your Rust"
    say "installing rustfmt and clippy"
    rustup component add rustfmt clippy </dev/null
}

prerequisites
for what in "$@"; do
    case "$what" in
    postgres | node | nginx | chromium | checks) "install_$what" ;;
    *) fail "install.sh knows postgres, node, nginx, chromium and checks, not $what" ;;
    esac
done
