//! The example function as a process of its own, with its secrets in the listener's SSM.
