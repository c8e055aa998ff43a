# The developers' entry points. "make" alone runs the gate.

GO       ?= go
FUZZTIME ?= 30s
COUNT    ?= 3
ROUNDS   ?= 3
TOOLS    := -modfile=internal/tools/go.mod

.PHONY: gmime all check check-static check-race test conformance servers demo run bench compare losses fuzz crash docs golden image clean
all: check

# The gate.
check: check-static check-race test conformance

check-static:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these files"; exit 1; }
	$(GO) vet ./...
	$(GO) fix -diff ./...
	$(GO) tool $(TOOLS) staticcheck ./...

# The rooms under the race detector; "test" runs them again beside the tests of
# the whole program.
check-race:
	$(GO) test -race -shuffle=on ./mail ./configs ./poller/... ./parser/... ./indexer/... ./sink/... ./internal/app ./internal/bus/... ./internal/durable/... ./internal/telemetry ./internal/web

# What all tests print and log is kept in test.log, and searched for the passwords
# of the tests' mailboxes.
test: servers
	@{ $(GO) test -v -shuffle=on ./... 2>&1; echo $$? >test.status; } | tee test.log | grep -E --line-buffered '^(ok|FAIL|panic)' || true
	@[ "$$(cat test.status)" = 0 ] || { grep -E -B 20 '^ *(--- FAIL|panic)' test.log; echo "all output is in test.log"; exit 1; }
	@$(GO) run ./internal/lab/leaks test.log
	@missing=$$(internal/lab/servers.sh missing); [ -z "$$missing" ] || printf 'NOT TESTED: %s\n' "$$missing"

# Tessera, which we did not write, judges our transparency log. It is a module of
# its own; where its modules cannot be had this fails.
conformance:
	cd internal/tlogtest && $(GO) vet ./... && $(GO) test ./...

# The programs that tests talk to: POP3 servers and clients that we did not
# write. A test whose program is missing fails; where a server cannot be run at
# all, "test" ends with its name. The benchmarks compare us with more of them.
PROGRAMS := curl python3 openssl strace
servers:
	@$(call programs,dovecot $(PROGRAMS))
	@internal/lab/servers.sh unpack
contenders: servers
	@$(call programs,mpop fetchmail getmail notmuch mu)

# programs installs those of the programs that are missing, on Debian as root.
package = $(if $(filter dovecot,$(1)),dovecot-pop3d,$(if $(filter getmail,$(1)),getmail6,$(if $(filter mu,$(1)),maildir-utils,$(if $(filter pdftotext,$(1)),poppler-utils,$(1)))))
define programs
missing=; $(foreach p,$(1),PATH=$$PATH:/usr/sbin command -v $(p) >/dev/null || missing="$$missing $(call package,$(p))";) \
if [ -z "$$missing" ]; then exit 0; fi; \
if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
  echo "installing:$$missing"; \
  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; \
else \
  echo "missing:$$missing. On Debian: sudo apt-get install$$missing" >&2; exit 1; \
fi
endef

# A tour on a sample server; "run" goes on until it is interrupted.
demo:
	$(GO) run ./cmd/mailkeep demo

run:
	$(GO) run ./cmd/mailkeep demo --keep-running

# What docs/benchmarks.md records: the parts, then the whole line against other
# programs, in ROUNDS rounds. It takes a quarter of an hour on two processors. With
# MAILKEEP_LEDGER_OCTETS and MAILKEEP_CATALOG_ROWS the simulated ledger and catalog
# are larger, as docs/benchmarks.md says.
PARTS ?= ./parser/... ./poller/... ./sink/... ./indexer ./internal/bus
bench: contenders
	$(GO) test -p 1 -run '^$$' -bench . -benchmem -benchtime 0.3s -count $(COUNT) -timeout 30m $(PARTS)
	$(GO) test -run '^$$' -bench 'Idle|Parallel' -benchtime 1x -timeout 20m ./cmd/mailkeep
	$(GO) test -run '^$$' -bench 'Line|Fleet' -benchtime $(ROUNDS)x -timeout 60m ./cmd/mailkeep

# What the parser makes of the corpus, beside GMime and Python's email: the table
# of docs/parser-compare.md, and a failure for what is not explained there.
compare: gmime
	$(GO) test -tags compare -count 1 -v -run '^TestCompare$$' ./parser
	@$(call programs,docx2txt catdoc antiword pdftotext)
	MAILKEEP_COMPARE=1 $(GO) test -count 1 -v -run '^TestCompare' ./parser/extract/...

gmime:
	@if pkg-config --exists gmime-3.0 2>/dev/null; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends gcc libc6-dev pkg-config libgmime-3.0-dev python3; \
	else \
	  echo "missing: GMime 3. On Debian: sudo apt-get install gcc pkg-config libgmime-3.0-dev" >&2; exit 1; \
	fi

# What becomes of mail when servers misbehave: the table of docs/benchmarks.md
# with other clients beside ours. It takes two minutes.
losses: contenders
	$(GO) test -run '^$$' -bench Losses -benchtime 1x -timeout 20m ./cmd/mailkeep

# Each fuzz target of each package, one after the other, and before them the
# damaged mails that "test" makes some thousands of.
MUTANTS ?= 10000000
fuzz:
	MAILKEEP_MUTANTS=$(MUTANTS) $(GO) test -v -run '^TestMutants$$' -timeout 8h ./parser
	@set -e; for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p; \
	  done; \
	done

# The tests that kill, cut, damage and fill disks: those of the rooms several
# times over, those of the whole program in their long form (two hours).
crash: servers
	$(GO) test -race -count 5 -run 'Crash|Kill|Torn|Cut|Flip|Fail|Fault|^TestX[0-9]' ./poller/... ./indexer/... ./sink/... ./internal/...
	MAILKEEP_KILLS=200 $(GO) test -count 3 -timeout 30m -run '^TestK[0-9]' ./internal/app
	MAILKEEP_LARGE=1 $(GO) test -run '^TestRow61' ./poller
	MAILKEEP_KILLS=200 $(GO) test -timeout 30m -run 'Cuts|Flips' ./sink/ledger
	MAILKEEP_KILLS=200 $(GO) test -timeout 10m -run '^TestKilled' ./indexer
	MAILKEEP_PLANTED=100000 $(GO) test -timeout 60m -run '^TestPlantedTruth' ./indexer
	MAILKEEP_RECALL=1 $(GO) test -timeout 30m -run '^TestRecall' ./internal/app
	MAILKEEP_KILLS=200 MAILKEEP_FAULTS=all $(GO) test -timeout 4h -v -run 'Kill|Fault|DiskFull|^TestK[0-9]' ./cmd/mailkeep

# What is printed from the code: configuration reference and golden files.
docs golden:
	$(GO) test ./configs ./cmd/mailkeep ./parser ./parser/extract ./internal/telemetry -update
	@git diff --stat

image:
	docker build -t mailkeep .

clean:
	rm -rf dist coverage.out mailkeep test.log test.status
