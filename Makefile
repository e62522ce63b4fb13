# The front door. Every target says what it does while it does it, and does nothing twice.
# `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:

BUILD ?= $(CURDIR)/build
ARTIFACTS := $(BUILD)/artifacts
SNAPBED := $(BUILD)/harness/cli/snapbed
VARIANT ?= plain
SCENARIO ?= storm
VARIANTS ?= plain
# What a run is made of can be given: KERNEL=bzImage MODULE=blksnap.ko SEED=N CYCLES=N TIMES=N
RUN_OPTIONS := $(if $(KERNEL),--kernel $(KERNEL)) $(if $(MODULE),--module $(MODULE)) \
	$(if $(SEED),--seed $(SEED)) $(if $(CYCLES),--cycles $(CYCLES)) $(if $(TIMES),--times $(TIMES)) $(OPTIONS)

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo "  variables: SCENARIO= SEED= CYCLES= KERNEL= MODULE= VARIANT=plain|debug TIMES= HOURS= VARIANTS= OPTIONS= MUTANT="

.PHONY: deps
deps: ## install the Debian packages that are missing
	@ci/deps.sh

.PHONY: kernel
kernel: deps ## build the guest kernel, cached outside the checkout
	@mkdir -p $(ARTIFACTS)
	@folder=$$(ci/kernel.sh --variant $(VARIANT)) && ln -sfn "$$folder/bzImage" $(ARTIFACTS)/bzImage \
		&& ln -sfn "$$folder" $(ARTIFACTS)/kernel

.PHONY: module
module: kernel ## build blksnap.ko and the amplifier against it
	@ci/module.sh --kernel "$$(readlink $(ARTIFACTS)/kernel)" --output $(ARTIFACTS)/blksnap.ko
	@ci/module.sh --kernel "$$(readlink $(ARTIFACTS)/kernel)" --output $(ARTIFACTS)/blksnap_kunit.ko --kunit
	@ci/module.sh --kernel "$$(readlink $(ARTIFACTS)/kernel)" --source images/amplifier \
		--output $(ARTIFACTS)/snapbed_amplifier.ko

.PHONY: harness
harness: deps ## build snapbed, the recording server and the guest's agent
	@ci/harness.sh --build $(BUILD)

.PHONY: image
image: harness ## build the guest's root file system, cached outside the checkout
	@mkdir -p $(ARTIFACTS)
	@images/build.sh --agent $(BUILD)/harness/agent/snapbed-agent \
		--bench $(BUILD)/harness/agent/snapbed-bench --init $(BUILD)/harness/agent/snapbed-init \
		--output $(ARTIFACTS)/root.erofs

.PHONY: all
all: ## everything a run needs
	@$(MAKE) --jobs=2 module image

.PHONY: storm
storm: all ## the main job: storm two disks, take snapshots, judge every image and map
	@$(SNAPBED) run storm $(RUN_OPTIONS)

.PHONY: run
run: all ## run SCENARIO= (default storm)
	@$(SNAPBED) run $(SCENARIO) $(RUN_OPTIONS)

.PHONY: smoke
smoke: all ## all smoke scenarios
	@$(SNAPBED) run @smoke $(RUN_OPTIONS)

.PHONY: meta
meta: all ## the scenarios that must fail, be broken, hang and oops
	@$(SNAPBED) run @meta $(RUN_OPTIONS)

.PHONY: kunit
kunit: all ## the KUnit suites of the module, in the guest
	@$(SNAPBED) run kunit $(RUN_OPTIONS)

.PHONY: mutants
mutants: all ## put each known bug into the module: every one must be caught (MUTANT=name for one)
	@ci/mutants.sh --build $(BUILD) $(MUTANT)

.PHONY: scripts
scripts: all ## short scripts, exhaustively: a part of those that are left, under 5 minutes (PART=960 of 15804)
	@$(SNAPBED) scripts --part $(or $(PART),960) --minutes 4 $(OPTIONS)

.PHONY: lint
lint: module harness ## shellcheck, shfmt, clang-format, checkpatch, sparse, the class map
	@ci/lint.sh
	@$(SNAPBED) classes --check

.PHONY: unit
unit: deps ## unit tests under CTest
	@ci/harness.sh --build $(BUILD) --target all
	@ci/unit.sh --build $(BUILD)

.PHONY: check
check: ## everything CI asks: lint, unit tests with sanitizers, smoke and meta scenarios, mutants
	@ci/check.sh

.PHONY: check-full
check-full: ## check, and all scenarios on all kernels, fuzzers, the judge against its slow twin
	@ci/check.sh --full

.PHONY: peer
peer: all ## SCENARIO= with another implementation of the interface, which must be accused of nothing
	@ci/module.sh --kernel "$$(readlink $(ARTIFACTS)/kernel)" --source ci/peer --output $(ARTIFACTS)/peer.ko
	@$(SNAPBED) run $(SCENARIO) --module $(ARTIFACTS)/peer.ko $(OPTIONS)

.PHONY: bench
bench: all ## how fast the module is, beside the bare device and dm-snapshot (OPTIONS=)
	@$(SNAPBED) bench $(OPTIONS)

.PHONY: bench-judge
bench-judge: deps ## how fast the judge reads and judges a gigabyte of journal
	@ci/harness.sh --build $(BUILD) --target all
	@$(BUILD)/harness/model/snapbed_model_bench

.PHONY: stress
stress: all ## random runs side by side for HOURS= (fractions too), judged as a whole
	@ci/stress.sh --build $(BUILD) --hours $(or $(HOURS),1) --variants "$(VARIANTS)" $(if $(KERNEL),--kernel $(KERNEL)) \
		$(if $(MODULE),--module $(MODULE)) $(if $(SEED),--seed $(SEED)) $(OPTIONS)

.PHONY: shell
shell: all ## a shell in the guest with the scenario's disks attached
	@$(SNAPBED) shell $(SCENARIO)

.PHONY: doctor
doctor: harness ## what this machine can do, and why
	@$(SNAPBED) doctor

.PHONY: clean
clean: ## remove build/ and out/ (the cache outside stays)
	@rm -rf $(BUILD) out
