"""The processes: zygote, launch, exit."""
