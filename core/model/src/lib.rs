//! What is typed, what will happen, and what was found: the values that the other crates pass around. No behaviour
//! beyond validation.

mod row;

pub use row::Row;
