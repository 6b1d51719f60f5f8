//! The application after its deploy: the same functions, other types.

#[path = "../../functions.rs"]
mod functions;
#[path = "../../subjects.rs"]
mod subjects;
mod types;

pub use functions::{Read, Subject, read};
