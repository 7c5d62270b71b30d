"""Builds images: a recipe, decided; a base tree, an initramfs, a root, a boot loader, an ISO, made and cached."""
