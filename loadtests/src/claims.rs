//! Synthetic claims exports of any size, what is planted in them, and what a check of them costs.
//!
//! A file is a stream of *scenes*: the days of invented practices, clean by construction, and between them cases,
//! each with a doctor, a day and patients of its own, so that no case touches another. Whoever stages a row says
//! what a check must find there; nothing here judges a file, so that the engine is compared with intentions.

pub mod base;
pub mod cases;
pub mod engine;
pub mod export;
pub mod generate;
pub mod line;
pub mod measure;
pub mod names;
pub mod planted;
pub mod rules;
pub mod stage;
pub mod tables;
