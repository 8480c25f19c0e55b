"""Videos, folders of images, bags and camera files."""
