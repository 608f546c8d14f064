//! Test doubles and suites shared by the crates of Keybearer. Unpublished.

pub mod capture;
pub mod contract;
pub mod double;
pub mod sample;
