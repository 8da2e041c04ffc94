//! Ring 1: its first parts come with watermarks of several splits and with checkpoints.
