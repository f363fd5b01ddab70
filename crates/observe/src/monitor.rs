//! What samples of the runqueues show (contract F9).
