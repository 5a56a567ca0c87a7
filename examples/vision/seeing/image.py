"""numpy, or one clear line that says how to get it."""

try:
    import numpy as np
except ImportError as exc:
    raise ImportError("this example needs numpy: pip install 'understudy[numpy]'") from exc

Image = np.ndarray[tuple[int, int], np.dtype[np.uint8]]

__all__ = ["Image", "np"]
