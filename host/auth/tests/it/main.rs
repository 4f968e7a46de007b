//! Tokens and key sets, against an authenticator as the host has it.

mod given;
mod properties;
mod rotation;
mod tokens;
