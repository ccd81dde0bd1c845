# The images, and what can be said of them without an engine. The scripts' heads say what may be set.

.PHONY: images
images: ## Build the images with podman, docker or buildah (ENGINE=, REGISTRY=, TAG=, PLATFORMS=, PUSH=1)
	@Dockerfiles/images.sh

.PHONY: image-sizes
image-sizes: ## Print the sizes of the release binaries, and of images where an engine has them
	@Dockerfiles/sizes.sh

.PHONY: image-build-check
image-build-check: ## Build and start without an engine what the images hold (as root; ten minutes and more)
	@Dockerfiles/check-build.sh

.PHONY: image-content-check
image-content-check: ## Build images for both platforms with a stand-in compiler, and look at what they hold (as root, with buildah)
	@Dockerfiles/check-images.sh

# What the binaries are made of. Built once, unoptimised, as it has little to do.
SBOM_VERSION := 0.10.0
SBOM_ROOT := target/tools/cargo-sbom-$(SBOM_VERSION)
SBOM_DIRECTORY ?= target

$(SBOM_ROOT)/bin/cargo-sbom:
	CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=target/tools/build $(CARGO) install --quiet --locked --profile dev \
		--version $(SBOM_VERSION) --root $(SBOM_ROOT) cargo-sbom
	@rm -rf target/tools/build

.PHONY: sbom
sbom: $(SBOM_ROOT)/bin/cargo-sbom ## Write what each binary is made of, as CycloneDX (SBOM_DIRECTORY=target)
	@for package in normalizer storage-rest location bridge model-registry storage-initializer; do \
		$< sbom --cargo-package $$package --output-format cyclone_dx_json_1_6 > $(SBOM_DIRECTORY)/$$package.cdx.json; \
	done
