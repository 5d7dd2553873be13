# The one entrance: developers and CI run these recipes and nothing else. Without `just`: ./justw RECIPE

# One build for all tests, with everything that can be built in.
features := "--features otlp"

# Tests wait for servers more than they work: twice as many at a time as two cores.
export RUST_TEST_THREADS := env("RUST_TEST_THREADS", "4")

# What there is to run.
default:
    @{{ quote(just_executable()) }} --justfile {{ quote(justfile()) }} --list --unsorted

# A private nats-server, the shipped fixtures, sample extensions and a tour; then it serves until Ctrl-C.
demo *ARGS: tools
    @PATH="$PATH:$(dirname "$(scripts/server-path nats)")" cargo run --quiet -- demo {{ ARGS }}

# Every test, against a real nats-server and a real Postgres (BEAMLINE_TEST_SERVERS=native|containers|auto).
test *ARGS: tools erlang python examples shells
    cargo test {{ features }} {{ ARGS }}

# The status page in a headless Chromium, which is installed where root may; else skipped outside CI.
browser-test *ARGS: tools
    scripts/browser cargo test {{ features }} --test it status_page:: -- --ignored --nocapture --test-threads=1 {{ ARGS }}

# The pictures of the status page in docs/images: five minutes of traffic, and a headless Chromium.
pictures: tools
    scripts/browser cargo test {{ features }} --test it docs::pictures:: -- --ignored --nocapture

# Format, clippy, layers, licences and sources.
lint: check-layers && deny
    cargo fmt --check
    cargo check
    cargo clippy --all-targets {{ features }} -- -D warnings

# Formats the code.
fmt:
    cargo fmt

# No layer points outward.
check-layers:
    scripts/check-layers

# deploy/: manifests rendered, held against the schemas of Kubernetes and our own rules.
manifests *ARGS:
    scripts/manifests {{ ARGS }}

# Bans, licences and sources of all dependencies; advisories where their database can be reached.
deny:
    scripts/deny

# Alerting rules: well formed, and each fires in its tests when it should, and not otherwise.
alerts:
    scripts/alerts

# Writes what docs/, deploy/nats and tests/golden/ take from the code: real replies, tables of variables, lists of verbs.
docs: tools
    BEAMLINE_DOCS=write cargo test {{ features }} --test it -- docs:: golden:: operator::sessions::

# Line coverage of src/domain and src/service; fails under 80 percent.
coverage: tools
    scripts/coverage

# Throughput and latency against what a router would do without the registry; writes target/bench/report.json.
bench *ARGS: tools
    cargo bench --bench registry -- {{ ARGS }}

# What is published of the interfaces, by validators in another language, and the daemon against its OpenAPI document.
api-test: tools
    cargo test {{ features }} --test it -- --ignored http_admin::tester docs::schemas

# Everybody tries what they may not: each role of NATS, HTTP and the database, an extension, strangers.
attack *ARGS: tools
    cargo test {{ features }} --lib http::tests {{ ARGS }}
    cargo test {{ features }} --test it -- access:: admin::audit auto::disable fuzz:: http_admin:: invoke::bytes invoke::fairness invoke::forged invoke::stream_limits requests::headers subjects:: --nocapture {{ ARGS }}

# The tests that take minutes, in a release build.
soak *ARGS: tools
    cargo test --release --test it -- --ignored --test-threads=1 --skip status_page:: {{ ARGS }}

# A thousand sidecars against one Postgres: what they cost it, and that every change is published once.
fleet *ARGS: tools
    cargo test --release --test it -- --ignored --nocapture fleet::thousand {{ ARGS }}

# The container image, beamline-registry:<version>. Needs a Docker engine.
image *ARGS:
    scripts/image {{ ARGS }}

# The image as Kubernetes would run it: its size and rights, stopped under load; and deploy/compose.yaml.
image-test *ARGS: image
    scripts/image-test {{ ARGS }}

# What the binary is made of, as CycloneDX: target/sbom/beamline-registry.cdx.json.
sbom:
    scripts/sbom

# The circuit breaker against its model, 100,000 random sequences instead of 1,000; 10,000,000 damaged
# streams of the NATS protocol instead of 4,000; and 20,000 random contexts against theirs, instead of 400.
exhaustive *ARGS:
    BEAMLINE_EXHAUSTIVE=1 cargo test --release --lib breaker {{ ARGS }}
    BEAMLINE_EXHAUSTIVE=1 cargo test --release --lib wire::mutation {{ ARGS }}
    BEAMLINE_EXHAUSTIVE=1 cargo test --release --test it requests::agreement {{ ARGS }}

# What comes from outside, fuzzed: each target of fuzz/ for 60 s, or `just fuzz SECONDS TARGET...`. Needs a nightly.
fuzz *ARGS:
    @scripts/fuzz {{ ARGS }}

# Small faults in the code that decides: are they caught? `just mutants GLOB...` for files, `--shard K/N` for a sample.
mutants *ARGS: tools
    @scripts/mutants {{ ARGS }}

# An Erlang for the tests of examples/erlang, where it can be had.
erlang:
    @scripts/erlang

# Python's NATS client, for the test of docs/first-extension.md. Without it that test is left out.
python:
    @scripts/pip-tool install nats-py || [ "${BEAMLINE_PYTHON:-}" != required ]

# What the examples in Python, JavaScript and Go need for their tests, where it can be had.
examples:
    @scripts/examples install

# zsh and fish for the test of completion, where they can be had.
shells:
    @scripts/shells install

# A nats-server and a Postgres, installed into .tools/ where there is none.
tools:
    @scripts/tools
