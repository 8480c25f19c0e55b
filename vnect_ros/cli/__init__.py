"""The command lines, a file each; `_` marks what they share."""
