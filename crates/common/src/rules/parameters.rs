//! Whether values fit parameters.
