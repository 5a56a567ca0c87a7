pytest_plugins = ["runtime.testing"]
