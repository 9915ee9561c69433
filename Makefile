# Two commands matter: `make dev` runs everything, `make test` checks everything. Both install what this machine lacks.

.PHONY: dev test bench fmt

# Flags for the program: make dev ARGS="--listen 127.0.0.1:4001"
ARGS ?=

dev:
	@scripts/install.sh postgres
	cargo run --locked -- dev $(ARGS)

test:
	@scripts/install.sh postgres node nginx checks
	@scripts/test.sh

bench:
	@scripts/install.sh postgres
	cargo build --locked --example with_postgres
	target/debug/examples/with_postgres cargo bench --locked $(ARGS)

fmt:
	cargo fmt
