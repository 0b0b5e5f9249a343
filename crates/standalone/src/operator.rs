//! The subcommands of `clinicwire` for operators: they use a gateway by its public API, as any
//! other client does.

pub mod arguments;
pub mod call_next;
mod connector;
mod gateway_client;
pub mod import;
pub mod seed;
pub mod tail;
mod terminal;
pub mod token;

pub use terminal::Terminal;
