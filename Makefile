# Two commands matter: `make dev` runs everything, `make test` checks everything. Both install what this machine lacks.

.PHONY: dev test viewer fuzz soak bench bench-page fmt

# Flags for the program: make dev ARGS="--listen 127.0.0.1:4001"
ARGS ?=

dev: viewer
	@scripts/install.sh postgres
	cargo run --locked -- dev $(ARGS)

# The page that the program has inside.
viewer:
	@scripts/install.sh node
	@scripts/viewer.sh

test:
	@scripts/install.sh postgres node nginx chromium checks
	@scripts/test.sh

# How many times longer than in `make test`: make fuzz FACTOR=100
FACTOR ?= 20

fuzz:
	@scripts/install.sh postgres
	cargo build --locked --example with_postgres
	PLUE_FUZZ_FACTOR=$(FACTOR) PLUE_TEST_CONDITIONS=$$((20000 * $(FACTOR))) \
		target/debug/examples/with_postgres cargo test --locked --test main -- filter:: fuzz:: auth::properties:: --nocapture

# Ten minutes for each source of shapes: make soak SECONDS=120
SECONDS ?= 600

soak:
	@scripts/install.sh postgres
	cargo build --locked --example with_postgres
	SOAK_SECONDS=$(SECONDS) target/debug/examples/with_postgres cargo bench --locked --bench soak

bench:
	@scripts/install.sh postgres
	cargo build --locked --example with_postgres
	target/debug/examples/with_postgres cargo bench --locked --bench live --bench subscriptions --bench auth $(ARGS)

# From a commit to the pixel of a page.
bench-page: viewer
	@scripts/install.sh postgres chromium
	cargo build --locked --profile bench
	cargo build --locked --example with_postgres
	PLUE_TEST_SOURCE=engine PLUE_SYNC_BINARY=$(CURDIR)/target/release/plue-sync \
		target/debug/examples/with_postgres $$(scripts/node.sh) clients/tests/bench/pixel.js

fmt:
	cargo fmt
