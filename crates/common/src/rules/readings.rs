//! What a sender's payload says and whether it can be true.
