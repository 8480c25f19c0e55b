"""From images to observed joints: windows, search, reading maps, filters."""
