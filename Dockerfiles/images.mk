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
